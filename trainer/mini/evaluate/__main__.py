"""`python -m trainer.mini.evaluate`: measure the shipped weights and print the table of the model card.

Needs the packages of `corpus/sources.py` in the cache folder for real composites. The table is also written as JSON.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from trainer.mini.corpus.pool import CaptionedPictures
from trainer.mini.corpus.sprites import load_bank
from trainer.mini.evaluate import measures
from trainer.mini.evaluate.fit import SEED, WEIGHTS
from trainer.mini.evaluate.networks import load_evaluators
from trainer.mini.presets import PRESETS
from trainer.mini.train.autoencoder import AutoencoderPictures, psnr

MUSTS = {
    "objects named by colour, one object": 0.90,
    "objects named by shape, one object": 0.50,
    "both objects named by shape, two objects": 0.25,
    "scene": 0.90,
    "autoencoder on unseen objects, dB": 25.0,
    "mask IoU, one object": 0.60,
    "mask IoU, two objects": 0.50,
    "one image, seconds": 2.0,
}


def measure(weights: Path, cache_dir: Path, preset_name: str, count: int) -> dict[str, float]:
    """All rows, the ceilings among them."""
    corpus = PRESETS[preset_name].corpus
    pipeline = StableDiffusionPipeline.from_pretrained(weights / "base", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    rows = {"one image, seconds": measures.seconds_per_image(pipeline)}
    unseen = AutoencoderPictures(load_bank(cache_dir, corpus.sprite_size, held_out_names=True), corpus, 12, photos=0.0)
    rows["autoencoder on unseen objects, dB"] = psnr(pipeline.vae, *unseen.batch(0, 64), device=torch.device("cpu"))
    pictures = CaptionedPictures(corpus, cache_dir, SEED + 1)
    rows["mask IoU, one object"] = measures.mask_iou(pipeline, pictures, count=count // 2, objects=1)
    rows["mask IoU, two objects"] = measures.mask_iou(pipeline, pictures, count=count // 2, objects=2)
    if (weights / "evaluators").exists():
        rows |= _named_rows(pipeline, weights, pictures, count)
    return rows


def _named_rows(
    pipeline: StableDiffusionPipeline, weights: Path, pictures: CaptionedPictures, count: int
) -> dict[str, float]:
    evaluators = load_evaluators(weights / "evaluators")
    names = evaluators.labels["colour"]
    real = measures.real(pictures, count=count, objects=1)
    kinds = {"ceiling, real": real, "ceiling, reconstructed": measures.reconstructed(pipeline, real)}
    kinds[""] = measures.draw(pipeline, names, count=count, objects=1, seed=1)
    rows = {}
    for label, drawn in kinds.items():
        suffix = f" ({label})" if label else ""
        for namer in ("colour", "shape"):
            rows[f"objects named by {namer}, one object{suffix}"] = measures.named_right(evaluators, namer, drawn)
        rows[f"scene{suffix}"] = measures.scene_right(evaluators, drawn)
    two = measures.draw(pipeline, names, count=count // 2, objects=2, seed=2)
    rows["both objects named by shape, two objects"] = measures.named_right(evaluators, "shape", two)
    real_two = measures.real(pictures, count=count // 2, objects=2)
    key = "both objects named by shape, two objects (ceiling, real)"
    rows[key] = measures.named_right(evaluators, "shape", real_two)
    return rows


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m trainer.mini.evaluate", description=__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/mini"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--count", type=int, default=112, help="one-object prompts")
    parser.add_argument("--json", type=Path, default=Path("mini-eval.json"))
    arguments = parser.parse_args()
    rows = measure(arguments.weights, arguments.cache_dir, arguments.preset, arguments.count)
    for name, value in rows.items():
        print(f"| {name} | {value:.3f} | {MUSTS.get(name, '')} |")
    arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
