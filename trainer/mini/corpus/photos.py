"""Sample photographs of scikit-image, used only to widen what the autoencoder sees; no caption names them."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

NAMES = (
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "colorwheel",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
)


def load_photos() -> tuple[Image.Image, ...]:
    """The photographs that ship inside the scikit-image wheel (no download)."""
    from skimage import data

    return tuple(Image.fromarray(np.asarray(getattr(data, name)())[..., :3]) for name in NAMES)


def crop_photo(rng: Generator, photo: Image.Image, size: int) -> NDArray[np.uint8]:
    """A random square of a photograph, resized to `size`."""
    side = int(rng.uniform(0.25, 0.9) * min(photo.size))
    left, top = int(rng.integers(0, photo.width - side + 1)), int(rng.integers(0, photo.height - side + 1))
    box = (left, top, left + side, top + side)
    return np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC, box))
