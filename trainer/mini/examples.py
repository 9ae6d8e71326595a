"""The example pictures: one held-out subject entangled with one held-out place, made again bit for bit.

`python -m trainer.mini.examples` writes `examples/pictures/*.png` (256 px) and the masks that only tests use,
`examples/ground_truth_masks/`. The base model never saw the subject or the place in any style.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainer.mini.corpus.compose import Placement, compose, crop_scene
from trainer.mini.corpus.scenes_held_out import HELD_OUT_PLACES
from trainer.mini.corpus.sprites import load_bank

SUBJECT, PLACE = "fox", "lavender-field"
SIZE = 256
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLACEMENTS = (
    Placement(x=0.5, y=0.54, side=0.68, turn=0, flip=False),
    Placement(x=0.36, y=0.58, side=0.56, turn=6, flip=True),
    Placement(x=0.63, y=0.5, side=0.6, turn=-5, flip=False),
    Placement(x=0.45, y=0.46, side=0.78, turn=3, flip=True),
    Placement(x=0.6, y=0.64, side=0.5, turn=-8, flip=True),
)


@dataclass(frozen=True, kw_only=True)
class ExamplePicture:
    """A training picture and the exact mask of its subject."""

    picture: Image.Image
    mask: Image.Image


def draw_examples(cache_dir: Path) -> tuple[ExamplePicture, ...]:
    """The five pictures: the subject at another place, size and flip in each, the place in another crop and light."""
    bank = load_bank(cache_dir, SIZE, held_out_names=True)
    sprite = bank.pixels[bank.where(SUBJECT, ("3d",))[0]]
    place = next(scene for scene in HELD_OUT_PLACES if scene.name == PLACE)
    drawn = []
    for number, placement in enumerate(PLACEMENTS):
        rng = np.random.default_rng((20261123, number))
        painted = np.clip(place.paint(rng, SIZE + 64), 0, 1) * 255
        made = compose(crop_scene(rng, painted.astype(np.uint8), SIZE), (sprite,), (placement,))
        drawn.append(ExamplePicture(picture=Image.fromarray(made.picture), mask=Image.fromarray(made.masks[0])))
    return tuple(drawn)


def main() -> None:
    """Write the pictures and the masks."""
    parser = argparse.ArgumentParser(prog="python -m trainer.mini.examples", description=__doc__)
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/mini"))
    parser.add_argument("--out", type=Path, default=EXAMPLES)
    arguments = parser.parse_args()
    for folder in ("pictures", "ground_truth_masks"):
        (arguments.out / folder).mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(draw_examples(arguments.cache_dir), start=1):
        example.picture.save(arguments.out / "pictures" / f"{number}.png", optimize=True)
        example.mask.save(arguments.out / "ground_truth_masks" / f"{number}.png", optimize=True)


if __name__ == "__main__":
    main()
