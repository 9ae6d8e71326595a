"""Likeness measured by an image-text encoder: does a sample look like the training pictures, and like its prompt.

The encoder is a `Protocol` (`trainer.encoders`), because the report must not depend on one. Where there is none, the
rows that need it are left out and the report says so; nothing is made up in their place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.data import is_spatial
from trainer.em.e_step import winners
from trainer.em.latents import resize
from trainer.em.scene import Scene
from trainer.encoders import ImageTextEncoder

NEUTRAL = 127.5  # level outside a mask
MARGIN = 0.1  # of a mask's longer side, kept around it when it is cut out


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Mean cosines for one concept. `identity_floor`: how alike the other concepts' references are to the samples;
    `prompt` is None from an encoder that reads no text."""

    identity: float
    identity_floor: float | None
    prompt: float | None


def measure_likeness(
    encoder: ImageTextEncoder,
    references: dict[str, Tensor],
    samples: dict[str, Tensor],
    texts: dict[str, list[str]],
) -> dict[str, Likeness]:
    """Compare each concept's `samples` [B, 3, S, S] with its `references` [P, 3, S, S] and its prompts' plain texts."""
    vectors = {name: encoder.encode_images(pictures).float() for name, pictures in references.items()}
    result = {}
    for name, pictures in samples.items():
        drawn = encoder.encode_images(pictures).float()
        said = encoder.encode_texts(texts[name])
        others = [vectors[other] for other in vectors if other != name]
        result[name] = Likeness(
            identity=float((drawn @ vectors[name].T).mean()),
            identity_floor=float((drawn @ torch.cat(others).T).mean()) if others else None,
            prompt=None if said is None else float((drawn * said.float()).sum(dim=1).mean()),
        )
    return result


def reference_cuts(scene: Scene, posterior: Tensor) -> dict[str, Tensor]:
    """Each concept as the training pictures show it: masked on neutral grey and cut out, uint8 [P, 3, S, S].

    Backgrounds and styles are not cut out; a background keeps its mask.
    """
    cuts: dict[str, list[Tensor]] = {}
    for index, picture in enumerate(scene.pictures):
        side = picture.pixels.shape[-1]
        winner = winners(resize(posterior[index : index + 1].cpu(), side))[0]
        for concept in scene.concepts:
            if concept.name not in picture.concepts:
                continue
            if not is_spatial(concept.kind):
                cuts.setdefault(concept.name, []).append(picture.pixels)
                continue
            label = scene.labels.index(concept.name)
            cuts.setdefault(concept.name, []).append(
                cut_out(picture.pixels, winner == label, whole=scene.backgrounds[label])
            )
    return {name: torch.stack(pictures) for name, pictures in cuts.items()}


def cut_out(pixels: Tensor, mask: Tensor, *, whole: bool = False) -> Tensor:
    """`pixels` uint8 [3, S, S] on neutral grey but for `mask` bool [S, S], grown to fill the square unless `whole`."""
    alone = torch.where(mask, pixels.float(), NEUTRAL)
    if whole or not bool(mask.any()):
        return alone.round().to(torch.uint8)
    rows, columns = mask.any(dim=1).nonzero().flatten(), mask.any(dim=0).nonzero().flatten()
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    side = round(max(bottom - top, right - left) * (1 + 2 * MARGIN))
    canvas = torch.full((3, side, side), NEUTRAL)
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    canvas[:, y : y + bottom - top, x : x + right - left] = alone[:, top:bottom, left:right]
    grown = torch.nn.functional.interpolate(
        canvas[None], size=pixels.shape[-2:], mode="bilinear", align_corners=False, antialias=True
    )[0]
    return grown.round().clamp(0, 255).to(torch.uint8)
