"""`python -m benchmarks.concepts`: run the benchmark, or the sweep before it, and print the table."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.concepts.rows import ROWS
from benchmarks.concepts.runner import Run, run_all
from benchmarks.concepts.scenes import RECIPES, SWEEP_RECIPES, draw_scenes, held_out_bank
from benchmarks.concepts.sweep import read_tuned, sweep
from benchmarks.concepts.table import write_table
from trainer.encoders import load_encoder
from trainer.loading import load_backbone
from trainer.mini.corpus.sprites import SpriteBank
from trainer.mini.evaluate.fit import WEIGHTS

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main(words: Sequence[str] | None = None, *, bank: SpriteBank | None = None) -> None:
    """Measure what is asked for and is not yet in the output folder. `bank` replaces the corpus's sprites."""
    arguments = parse(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    backbone = load_backbone(arguments.base_model, device=arguments.device, dtype=PRECISIONS[arguments.precision])
    recipes = (SWEEP_RECIPES if arguments.sweep else RECIPES)[: arguments.scenes]
    scenes = draw_scenes(bank or held_out_bank(arguments.sprites), backbone.resolution, recipes)
    encoder = load_encoder(arguments.encoder)
    common = {"backbone": backbone, "scenes": scenes, "prior_folder": arguments.out / "prior", "quick": arguments.quick}
    swept = Run(out=arguments.out, **common)
    if arguments.sweep:
        print(sweep(swept, arguments.rows, encoder))
        return
    tuned = read_tuned(swept) if arguments.settings == "tuned" else {}
    run = Run(out=arguments.out / arguments.settings, tuned=tuned, **common)
    seeds = range(1, arguments.seeds + 1)
    run_all(run, arguments.rows, seeds, encoder)
    print(write_table(run, arguments.rows, seeds))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a quick run has two scenes and one seed unless told otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concepts", description=__doc__)
    parser.add_argument(
        "--scenes", type=int, choices=range(1, len(RECIPES) + 1), help=f"the first N (all {len(RECIPES)})"
    )
    parser.add_argument("--seeds", type=int, help="how many seeds, from 1 (3)")
    parser.add_argument("--rows", type=rows_named, default=list(ROWS), help=f"comma-separated, of {', '.join(ROWS)}")
    parser.add_argument("--base-model", type=Path, default=WEIGHTS / "base", help="a diffusers pipeline folder")
    parser.add_argument("--encoder", type=Path, default=WEIGHTS / "image_text", help="folder of an image-text encoder")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="fp32")
    parser.add_argument("--settings", choices=("published", "tuned"), default="published", help="the peers' numbers")
    parser.add_argument(
        "--sweep",
        action="store_true",
        help=f"search the peers' numbers on {len(SWEEP_RECIPES)} scenes that the table does not use",
    )
    parser.add_argument("--quick", action="store_true", help="a few steps of everything: does it run?")
    parser.add_argument("--out", type=Path, default=Path("build/bench-concepts"))
    parser.add_argument(
        "--sprites", type=Path, default=Path(".cache/mini"), help="cache folder of the corpus's packages"
    )
    arguments = parser.parse_args(words)
    arguments.scenes = arguments.scenes or (2 if arguments.quick else len(RECIPES))
    arguments.seeds = arguments.seeds or (1 if arguments.quick else 3)
    return arguments


def rows_named(text: str) -> list[str]:
    """Row names of a comma-separated list."""
    names = text.split(",")
    unknown = sorted(set(names) - set(ROWS))
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no row {', '.join(unknown)}; known are {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    main()
