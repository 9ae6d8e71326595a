"""`python -m trainer.mini.evaluate.fit`: train the evaluators on captioned composites, apart from the base model.

They see other composites than the base model (another seed), every second one of two objects. Colours vary a little
for the colour namer, and contrast is inverted at random for the shape namer, whose input is gray.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTokenizer

from trainer.encoders import SmallImageText, save_small, shrink
from trainer.mini.corpus.pool import CaptionedPictures, Item
from trainer.mini.corpus.scenes import SCENES
from trainer.mini.evaluate.networks import Evaluators, build_evaluators, save_evaluators
from trainer.mini.presets import PRESETS
from trainer.mini.train.autoencoder import to_unit_range
from trainer.mini.train.export import write_digests
from trainer.mini.train.latents import tokenize

_logger = logging.getLogger(__name__)
WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
SEED = 31


def make_pictures(pictures: CaptionedPictures, tokenizer: CLIPTokenizer, count: int) -> dict[str, Tensor]:
    """Composites at 64 pixels with each name's share (n, names), the scene's index, and token ids."""
    items: list[Item] = [pictures.item(index, count=1 + index % 2) for index in range(count)]
    scenes = {scene.name: index for index, scene in enumerate(SCENES)}
    small = [shrink(to_unit_range(item.composite.picture[None])) for item in items]
    named = torch.tensor([[(thing in item.things) / len(item.things) for thing in pictures.things] for item in items])
    return {
        "pictures": torch.cat(small).half(),
        "colour": named,
        "shape": named,
        "scene": torch.tensor([scenes[item.scene.name] for item in items]),
        "tokens": torch.tensor([tokenize(tokenizer, item.caption)[0] for item in items]),
    }


def fit(
    evaluators: Evaluators, encoder: SmallImageText, data: dict[str, Tensor], *, epochs: int, batch: int = 64
) -> None:
    """Train all networks in one pass over the same batches."""
    networks = [*evaluators.namers.values(), encoder]
    parameters = [value for network in networks for value in network.parameters()]
    steps = epochs * (len(data["pictures"]) // batch)
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    rng = np.random.default_rng(SEED)
    for step in range(steps):
        rows = torch.from_numpy(rng.integers(len(data["pictures"]), size=batch))
        with torch.autocast("cpu", torch.bfloat16):
            losses = _losses(evaluators, encoder, {key: value[rows] for key, value in data.items()}, rng)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            _logger.info(
                "step %d/%d %s", step + 1, steps, {key: round(value.item(), 3) for key, value in losses.items()}
            )


def _losses(
    evaluators: Evaluators, encoder: SmallImageText, batch: dict[str, Tensor], rng: np.random.Generator
) -> dict[str, Tensor]:
    pictures = batch["pictures"].float()
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], len(pictures))).float()[:, None, None, None]
    contrast = torch.from_numpy(rng.uniform(0.6, 1.2, len(pictures))).float()[:, None, None, None]
    gray = (pictures.mean(1, keepdim=True) * contrast * signs).expand_as(pictures)
    softened = F.avg_pool2d(gray, 3, 1, 1) if rng.random() < 0.5 else gray
    seen = {"colour": pictures * contrast, "shape": softened, "scene": pictures}
    losses = {name: F.cross_entropy(evaluators.namers[name](seen[name]).float(), batch[name]) for name in seen}
    likeness = encoder.encode_pictures(pictures).float() @ encoder.encode_tokens(batch["tokens"]).float().T
    alike = (batch["colour"][:, None] == batch["colour"]).all(-1) & (batch["scene"][:, None] == batch["scene"])
    wanted = alike.float() / alike.sum(1, keepdim=True)
    scaled = likeness * encoder.scale.exp().clamp(max=100)
    losses["image_text"] = (F.cross_entropy(scaled, wanted) + F.cross_entropy(scaled.T, wanted)) / 2
    return losses


def main() -> None:
    """Train and store the evaluators."""
    parser = argparse.ArgumentParser(prog="python -m trainer.mini.evaluate.fit", description=__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/mini"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--pictures", type=int, default=16_000)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.manual_seed(SEED)
    tokenizer = CLIPTokenizer.from_pretrained(arguments.weights / "base" / "tokenizer", local_files_only=True)
    pictures = CaptionedPictures(PRESETS[arguments.preset].corpus, arguments.cache_dir, SEED)
    names, scenes = tuple(thing.name for thing in pictures.things), tuple(scene.name for scene in SCENES)
    labels = {"colour": names, "shape": names, "scene": scenes}
    evaluators, encoder = (
        build_evaluators(labels),
        SmallImageText(len(tokenizer), tokenizer.model_max_length, width=128),
    )
    fit(evaluators, encoder, make_pictures(pictures, tokenizer, arguments.pictures), epochs=arguments.epochs)
    save_evaluators(evaluators, arguments.weights / "evaluators")
    save_small(encoder, tokenizer, arguments.weights / "image_text")
    write_digests(arguments.weights)


if __name__ == "__main__":
    main()
