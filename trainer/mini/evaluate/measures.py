"""The rows of the table: each function measures one thing on the shipped pipeline and returns a number.

Ceilings are the evaluators' own accuracy on real composites and on their reconstructions by the autoencoder: what a
perfect denoiser would be given. Seeds are fixed, so a run on the same weights gives the same numbers.
"""

import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from torch.nn import functional as F

from trainer.mini.corpus.captions import with_article
from trainer.mini.corpus.pool import CaptionedPictures
from trainer.mini.corpus.scenes import PLACES
from trainer.mini.evaluate.networks import Evaluators
from trainer.mini.train.autoencoder import to_unit_range
from trainer.mini.train.latents import tokenize

STEPS, GUIDANCE = 20, 4.0
_NOISE_LEVELS = (200, 350, 500)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Generated pictures (n, 3, s, s) in [-1, 1] with what was asked for."""

    pictures: Tensor
    names: tuple[tuple[str, ...], ...]
    scenes: tuple[str, ...]


def draw(pipeline: StableDiffusionPipeline, names: tuple[str, ...], *, count: int, objects: int, seed: int) -> Drawn:
    """Generate `count` prompts of so many objects on random places, every name equally often."""
    rng = np.random.default_rng(seed)
    asked = [tuple(names[(at + turn * 7) % len(names)] for turn in range(objects)) for at in range(count)]
    places = [PLACES[int(rng.integers(len(PLACES)))] for _ in range(count)]
    things = [" next to ".join(with_article(name) for name in two) for two in asked]
    prompts = [f"a photo of {thing} {place.phrases[0]}" for thing, place in zip(things, places, strict=True)]
    generator = torch.Generator().manual_seed(seed)
    pictures = []
    for at in range(0, count, 16):
        made = pipeline(
            prompts[at : at + 16],
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=generator,
            output_type="pt",
        )
        pictures.append(made.images.float() * 2 - 1)
    return Drawn(pictures=torch.cat(pictures), names=tuple(asked), scenes=tuple(place.name for place in places))


def named_right(evaluators: Evaluators, namer: str, drawn: Drawn) -> float:
    """Share of pictures whose asked names are exactly the namer's best ones (top-1, or both of the top-2)."""
    labels = evaluators.labels[namer]
    best = evaluators.scores(namer, drawn.pictures).topk(len(drawn.names[0])).indices.tolist()
    return float(
        np.mean([{labels[i] for i in row} == set(asked) for row, asked in zip(best, drawn.names, strict=True)])
    )


def scene_right(evaluators: Evaluators, drawn: Drawn) -> float:
    """Share of pictures whose scene is the one asked for."""
    best = evaluators.scores("scene", drawn.pictures).argmax(1).tolist()
    labels = evaluators.labels["scene"]
    return float(np.mean([labels[i] == asked for i, asked in zip(best, drawn.scenes, strict=True)]))


def real(pictures: CaptionedPictures, *, count: int, objects: int) -> Drawn:
    """Real composites in the same form as generated pictures; items that no network trained on."""
    items = [pictures.item(10_000_000 + index, count=objects) for index in range(count)]
    return Drawn(
        pictures=to_unit_range(np.stack([item.composite.picture for item in items])),
        names=tuple(tuple(thing.name for thing in item.things) for item in items),
        scenes=tuple(item.scene.name for item in items),
    )


@torch.no_grad()
def reconstructed(pipeline: StableDiffusionPipeline, drawn: Drawn) -> Drawn:
    """The same pictures after the autoencoder."""
    parts = drawn.pictures.split(16)
    made = [pipeline.vae.decode(pipeline.vae.encode(part).latent_dist.mean).sample.clamp(-1, 1) for part in parts]
    return Drawn(pictures=torch.cat(made), names=drawn.names, scenes=drawn.scenes)


def seconds_per_image(pipeline: StableDiffusionPipeline) -> float:
    """Wall time of one picture, 20 guided steps, batch 1, the best of three."""
    times = []
    for seed in range(3):
        started = time.perf_counter()
        pipeline(
            "a photo of a cat in the snow", num_inference_steps=STEPS, generator=torch.Generator().manual_seed(seed)
        )
        times.append(time.perf_counter() - started)
    return min(times)


@torch.no_grad()
def mask_iou(pipeline: StableDiffusionPipeline, pictures: CaptionedPictures, *, count: int, objects: int) -> float:
    """Mean IoU against alpha of masks from the name's cross-attention in noised real pictures, after the CRF."""
    from trainer.em.attention import attention_capture, choose_layers, list_layers

    side = pipeline.unet.config.sample_size
    layers = [layer.name for layer in choose_layers(list_layers(pipeline.unet, side, kind="attn2"), 16)]
    overlaps = []
    for index in range(count):
        item = pictures.item(20_000_000 + index, count=objects)
        ids, words = tokenize(pipeline.tokenizer, item.caption)
        picture = to_unit_range(item.composite.picture[None])
        context = pipeline.text_encoder(torch.tensor([ids])).last_hidden_state
        clean = pipeline.vae.encode(picture).latent_dist.mean * pipeline.vae.config.scaling_factor
        levels = torch.tensor(_NOISE_LEVELS)
        noise = torch.randn((len(levels), *clean.shape[1:]), generator=torch.Generator().manual_seed(index))
        noisy = pipeline.scheduler.add_noise(clean.expand_as(noise), noise, levels)
        with attention_capture(pipeline.unet, layers) as seen:
            pipeline.unet(noisy, levels, context.expand(len(levels), -1, -1))
        maps = seen.mean_map(layers).mean(0) @ torch.from_numpy(words[:objects]).float().T
        labels = _smooth(maps.T.reshape(objects, side, side), item.composite.picture)
        overlaps += [_iou(labels == at, mask > 127) for at, mask in enumerate(item.composite.masks)]
    return float(np.mean(overlaps))


def _smooth(maps: Tensor, picture: np.ndarray) -> np.ndarray:
    """Per-pixel winner among the objects (0, 1, ...) and the background (last), at the picture's size."""
    from trainer.em.config import CRFConfig
    from trainer.em.crf import DenseCRF

    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    scaled = F.interpolate(((maps - low) / (high - low))[None], (64, 64), mode="bilinear")[0]
    sharp = torch.sigmoid((scaled - 0.4) * 8)
    stacked = torch.cat([sharp, (1 - sharp.amax(0, keepdim=True)).clamp_min(0.02)])
    colours = F.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), (64, 64), mode="area")
    settings = {name: value for name, value in asdict(CRFConfig()).items() if name != "grid"}
    refined = DenseCRF(colours, **settings)((stacked / stacked.sum(0))[None])
    whole = F.interpolate(refined, picture.shape[:2], mode="bilinear")
    return whole[0].argmax(0).numpy()


def _iou(found: np.ndarray, true: np.ndarray) -> float:
    return float((found & true).sum() / max(1, (found | true).sum()))
