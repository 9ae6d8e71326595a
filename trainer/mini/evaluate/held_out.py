"""`python -m trainer.mini.evaluate.held_out`: learn held-out concepts from four pictures each, and show them in new places.

Which ones was fixed before anything was drawn: the first name of each class word in `corpus/heldout.txt`, ten of them.
The sheet has a row for each: two training pictures, the mask learned for the first, samples in new places from the
tokens alone, and the same samples after the sixty low-rate steps of `tune.py`.
"""

import argparse
import dataclasses
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image

from sdk.generate.drawing import generate_images
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.scene import parse_scene
from sdk.generate.tokens import LearnedToken
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind
from sdk.spec.sampling import Sampling
from trainer.backbone import Backbone
from trainer.data import ConceptSpec, PictureSpec, TrainingSet, load_training_set
from trainer.em.config import EMConfig
from trainer.em.loop import fit
from trainer.em.scene import layout_scene
from trainer.em.state import EMState
from trainer.loading import load_backbone
from trainer.mini.corpus.compose import compose, crop_scene, place_objects
from trainer.mini.corpus.pool import CaptionedPictures
from trainer.mini.corpus.scenes import PLACES, paint_bank
from trainer.mini.corpus.sprites import load_bank
from trainer.mini.corpus.vocabulary import held_out
from trainer.mini.evaluate.fit import WEIGHTS
from trainer.mini.evaluate.tune import encode_replay, tuned
from trainer.mini.presets import PRESETS

_logger = logging.getLogger(__name__)
COUNT, PICTURES, VECTORS, SEED = 10, 4, 3, 7
NEW_PLACES = ("in the snow", "on a sandy beach", "on a wooden table")


def chosen() -> dict[str, str]:
    """`{name: class word}`: the first held-out name of each class word, in the list's order."""
    first: dict[str, str] = {}
    for name, kind in held_out().items():
        first.setdefault(kind, name)
    return {name: kind for kind, name in list(first.items())[:COUNT]}


def draw_pictures(name: str, cache_dir: Path, folder: Path, size: int) -> tuple[Path, ...]:
    """Four pictures of one object, each in another place, written as PNG."""
    bank = load_bank(cache_dir, 160, held_out_names=True)
    sprite = bank.pixels[bank.where(name, ("3d",))[0]]
    rng = np.random.default_rng((SEED, *name.encode()))
    places = paint_bank(tuple(PLACES), 160, 1, SEED)
    paths = []
    for number, place in enumerate(rng.choice(len(PLACES), PICTURES, replace=False)):
        made = compose(crop_scene(rng, places[place, 0], size), (sprite,), place_objects(rng, 1))
        paths.append(folder / f"{name}-{number}.png")
        Image.fromarray(made.picture).save(paths[-1])
    return tuple(paths)


def learn(backbone: Backbone, name: str, kind: str, paths: tuple[Path, ...]) -> tuple[TrainingSet, EMState]:
    """The EM alternation with its defaults: nothing is tuned for a concept."""
    concept = ConceptSpec(name=f"held-out/{name}", kind=ConceptKind.SUBJECT, class_word=kind, vectors=VECTORS)
    pictures = [PictureSpec(path=path, concepts=(concept.name,)) for path in paths]
    training = load_training_set(pictures, [concept], resolution=backbone.resolution)
    return training, fit(backbone, training, EMConfig(seed=SEED))


def row(
    pipeline: LoadedPipeline, training: TrainingSet, state: EMState, unets: tuple[UNet2DConditionModel, ...]
) -> Image.Image:
    """Training pictures, a mask, and the samples of each of `unets`, side by side."""
    pictures = [Image.fromarray(each.pixels.permute(1, 2, 0).numpy()) for each in training.pictures[:2]]
    label = layout_scene(training).labels.index(training.concepts[0].name)
    mask = Image.fromarray((state.history[-1][0].numpy() == label).astype(np.uint8) * 255)
    cells = [*pictures, mask.resize(pictures[0].size).convert("RGB")]
    for unet in unets:
        cells += draw_samples(
            dataclasses.replace(pipeline, pipeline=with_unet(pipeline.pipeline, unet)), training, state
        )
    return beside(cells)


def with_unet(pipeline: StableDiffusionPipeline, unet: UNet2DConditionModel) -> StableDiffusionPipeline:
    """The same pipeline around another U-Net."""
    made = StableDiffusionPipeline(**{**pipeline.components, "unet": unet}, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    return made


def draw_samples(pipeline: LoadedPipeline, training: TrainingSet, state: EMState) -> list[Image.Image]:
    """One picture of the concept in each new place."""
    concept = ConceptId(training.concepts[0].name)
    slot = layout_scene(training).slots[concept]
    token = LearnedToken(concept=concept, rows=tuple(rows[list(slot.rows)] for rows in state.rows.values()))
    images: list[Image.Image] = []
    for number, place in enumerate(NEW_PLACES):
        scene = parse_scene(f"a photo of {{{concept}}} {place}", {concept: concept})
        sampling = Sampling(seed=SEED + number, steps=20, guidance=4.0)
        images += generate_images(pipeline, scene, {concept: token}, sampling, count=1)
    return images


def beside(cells: list[Image.Image]) -> Image.Image:
    """Pictures of one size in a row."""
    side = cells[0].width
    strip = Image.new("RGB", (side * len(cells), side))
    for at, cell in enumerate(cells):
        strip.paste(cell, (at * side, 0))
    return strip


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(prog="python -m trainer.mini.evaluate.held_out", description=__doc__)
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/mini"))
    parser.add_argument("--out", type=Path, default=Path("held-out.png"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    backbone, pipeline = load_backbone(WEIGHTS / "base"), load_pipeline(WEIGHTS / "base")
    corpus = dataclasses.replace(PRESETS["cpu"].corpus, scene_variants=4)
    replay = encode_replay(backbone, CaptionedPictures(corpus, arguments.cache_dir, SEED))
    strips = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in chosen().items():
            started = time.monotonic()
            paths = draw_pictures(name, arguments.cache_dir, Path(folder), backbone.resolution)
            training, state = learn(backbone, name, kind, paths)
            unets = (backbone.unet, tuned(backbone, training, state, replay, SEED))
            strips.append(row(pipeline, training, state, unets))
            _logger.info("%s, %s: %.0f s, %d rounds", name, kind, time.monotonic() - started, state.round)
    sheet = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)))
    for at, strip in enumerate(strips):
        sheet.paste(strip, (0, at * strip.height))
    sheet.save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
