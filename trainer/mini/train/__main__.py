"""`python -m trainer.mini.train {fetch,vae,unet,export,all}`: one resumable command for the whole recipe.

`all` fetches the pinned packages, goes on from the shipped weights (their autoencoder, text encoder and U-Net) and
exports; to start from nothing run `fetch`, `vae`, `unet` and `export` in a new run folder.
"""

import argparse
import logging
import shutil
from pathlib import Path

import torch

from trainer.mini.corpus import sources
from trainer.mini.presets import PRESETS, Preset
from trainer.mini.train.autoencoder import train_autoencoder
from trainer.mini.train.denoiser import BaseModel, train_denoiser
from trainer.mini.train.export import export_base, sample_sheet

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "base"
SHEET = (
    "a photo of a cat on the grass",
    "a photo of a panda in the snow",
    "a photo of a lion in the desert",
    "a photo of a strawberry on a wooden table",
    "a photo of a doughnut on a blue background",
    "a photo of a bus in front of a brick wall",
    "a photo of a snowman at night",
    "a photo of a sunflower in a wheat field",
    "a photo of a banana on a sandy beach",
    "a photo of a pig at sunset",
    "a photo of a basketball in the forest",
    "a photo of a frog in the water",
    "a photo of a robot in a room",
    "a photo of an apple next to a cake on a tiled floor",
    "a photo of a car and a pumpkin in the desert",
    "a photo of an animal in a field",
)


def main() -> None:
    """Read the command line and run one stage."""
    parser = argparse.ArgumentParser(prog="python -m trainer.mini.train", description=__doc__)
    parser.add_argument("stage", choices=("fetch", "vae", "unet", "export", "all"))
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/mini"), help="packages and rendered sprites")
    parser.add_argument(
        "--run-dir", type=Path, default=Path(".cache/mini/run"), help="training checkpoints and latents"
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where `export` writes the pipeline")
    parser.add_argument("--minutes", type=float, default=None, help="unet: end the schedule after this time")
    parser.add_argument("--warm-start", type=Path, default=None, help="unet: a pipeline whose weights to begin with")
    parser.add_argument("--export-while-training", action="store_true", help="unet: export at each training checkpoint")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    _run(arguments, PRESETS[arguments.preset])


def _run(arguments: argparse.Namespace, preset: Preset) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arguments.run_dir.mkdir(parents=True, exist_ok=True)
    where = {"cache_dir": arguments.cache_dir, "run_dir": arguments.run_dir, "device": device}
    begin = arguments.warm_start
    if arguments.stage in ("fetch", "all"):
        for source in sources.ALL:
            print(sources.fetch(source, arguments.cache_dir))
    if arguments.stage == "vae":
        train_autoencoder(preset, **where)
    if arguments.stage == "all":
        begin = WEIGHTS
        if not (arguments.run_dir / "vae").exists():
            shutil.copytree(WEIGHTS / "vae", arguments.run_dir / "vae")
    if arguments.stage in ("unet", "all"):
        train_denoiser(preset, **where, minutes=arguments.minutes, warm_start=begin, on_checkpoint=_reporter(arguments))
    if arguments.stage in ("export", "all"):
        export_base(train_denoiser(preset, **where, minutes=0), arguments.weights)
        print(f"wrote {arguments.weights}")


def _reporter(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    """At each training checkpoint: a sheet of samples in the run folder and, where wanted, an export."""

    def report(model: BaseModel, step: int) -> None:
        if arguments.export_while_training:
            export_base(model, arguments.weights)
        sample_sheet(model, SHEET, seed=5).save(arguments.run_dir / f"samples-{step:06d}.png")

    return report


if __name__ == "__main__":
    main()
