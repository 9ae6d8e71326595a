"""Drawing into a photo: image to image (SDEdit, arXiv 2108.01073), or only where a mask is white (inpainting).

The base model is the one that is loaded, its components in another of diffusers' pipelines; nothing is loaded twice.
Outside the mask the photo's own pixels are put back, so that what was not asked to change does not. Needs the extra
`imprimatur[generate]`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sdk.generate.photo import Photo

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image


def drawing_into(pipeline: Any, photo: Photo, pictures: int) -> Callable[..., Any]:
    """What to call in the place of `pipeline`, without its width and height, to draw `pictures` into `photo`."""
    import diffusers

    family, kind = type(pipeline).__name__.removesuffix("Pipeline"), "Inpaint" if photo.mask else "Img2Img"
    cls = getattr(diffusers, f"{family}{kind}Pipeline")
    parts = dict(pipeline.components)
    if "safety_checker" in parts and parts["safety_checker"] is None:
        parts["requires_safety_checker"] = False
    editor = cls(**parts)
    editor.set_progress_bar_config(disable=True)
    # One copy for each picture: of a single one, the inpainting pipeline would encode by the first generator alone.
    given: dict[str, Any] = {"image": [photo.picture] * pictures, "strength": photo.strength}
    if photo.mask:
        width, height = photo.picture.size
        given |= {"mask_image": [photo.mask] * pictures, "width": width, "height": height}
    return partial(editor, **given)


def keep_outside(drawn: Image, photo: Photo) -> Image:
    """The picture with the photo's own pixels where the mask is black."""
    import PIL.Image

    if photo.mask is None:
        return drawn
    return PIL.Image.composite(drawn.convert("RGB"), photo.picture, photo.mask)
