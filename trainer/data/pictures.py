"""Picture and mask files, decoded defensively, upright, and cut to the central square."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sdk.errors import TrainingInputError
from sdk.pictures import UNREADABLE, to_eight_bits, upright
from trainer.data.values import Picture, PictureSpec

FORMATS: Final = ("JPEG", "PNG", "WEBP")
MAX_PIXELS: Final = 40_000_000  # of one file, checked before decoding
MAX_BYTES: Final = 50_000_000  # of one file
MIN_SIDE: Final = 64  # pixels, shorter side


def load_picture(spec: PictureSpec, name: str, resolution: int, max_pixels: int, min_side: int) -> Picture:
    """Decode a picture and its masks. Raises `TrainingInputError`, with the file and the mend."""
    image = _decode(spec.path, max_pixels)
    width, height = image.size
    if min(width, height) < min_side:
        raise TrainingInputError(
            f"{spec.path}: {width} x {height} pixels is too small; "
            f"give a picture with at least {min_side} pixels on its shorter side"
        )
    side = min(width, height)
    crop = ((width - side) // 2, (height - side) // 2, side)
    pixels = _cut(_flatten(image), crop, resolution, Image.Resampling.LANCZOS)
    return Picture(
        name=name,
        concepts=tuple(spec.concepts),
        caption=spec.caption,
        pixels=torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous(),
        masks={
            key: _load_mask(path, spec.path, image.size, crop, resolution, max_pixels)
            for key, path in spec.masks.items()
        },
        size=image.size,
        crop=crop,
    )


def _decode(path: Path, max_pixels: int) -> Image.Image:
    """Open, check the header against the limits, and only then decode. The result is upright."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TrainingInputError(f"{path}: {size} bytes is over the limit of {MAX_BYTES}; save it smaller")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TrainingInputError(
                    f"{path}: {width} x {height} is over the limit of {max_pixels} pixels; scale it down"
                )
            image.load()
            return upright(image)
    except Image.DecompressionBombError as exc:
        raise TrainingInputError(f"{path}: it is over the limit of {max_pixels} pixels; scale it down") from exc
    except FileNotFoundError as exc:
        raise TrainingInputError(f"{path}: there is no such file; correct the path") from exc
    except UnidentifiedImageError as exc:
        raise TrainingInputError(
            f"{path}: this is not a JPEG, PNG or WebP picture that can be read; export it again as one of these"
        ) from exc
    except UNREADABLE as exc:
        raise TrainingInputError(f"{path}: the picture is damaged ({exc}); export it again") from exc


def _flatten(image: Image.Image) -> Image.Image:
    """RGB on white where the picture was transparent."""
    image = to_eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _cut(image: Image.Image, crop: tuple[int, int, int], resolution: int, resample: Image.Resampling) -> np.ndarray:
    left, top, side = crop
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((resolution, resolution), resample))


def _load_mask(
    path: Path, picture: Path, size: tuple[int, int], crop: tuple[int, int, int], resolution: int, max_pixels: int
) -> Tensor:
    mask = _decode(path, max_pixels)
    if mask.size != size:
        raise TrainingInputError(
            f"{path}: the mask is {mask.size[0]} x {mask.size[1]} pixels, its picture {picture} is "
            f"{size[0]} x {size[1]}; save the mask at the picture's size"
        )
    mask = _with_alpha(mask)
    grey = mask.getchannel("A") if mask.mode in ("LA", "RGBA") and _is_cutout(mask) else _flatten(mask).convert("L")
    bits = _cut(grey, crop, resolution, Image.Resampling.BILINEAR) >= 128
    if not bits.any():
        raise TrainingInputError(f"{path}: the mask is empty within the central square; paint the concept white")
    return torch.from_numpy(bits.copy())


def _with_alpha(mask: Image.Image) -> Image.Image:
    """The mask with its transparency as a channel, where a palette or one colour says it; of 16-bit levels none is taken."""
    said_otherwise = mask.mode in ("P", "PA") or "transparency" in mask.info
    return mask.convert("RGBA") if said_otherwise and not mask.mode.startswith("I") else mask


def _is_cutout(mask: Image.Image) -> bool:
    """Whether the mask is carried by transparency: it varies, or nothing is to be seen."""
    low, high = mask.getchannel("A").getextrema()
    return low != high or high == 0
