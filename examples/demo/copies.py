"""Copies of composed images as they turn up in the world, and finding their contracts again.

No copy has Content Credentials any more. Each must lead back to the generation it comes from, and so to versions,
approvals and consents; how it was found (watermark, likeness) is told.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from typing import Final

from PIL import Image

from examples.demo.demo import Demo
from examples.demo.stage import require
from sdk.identify import Identification, identify
from sdk.signing.trust import TrustRoot


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def _resized(picture: Image.Image, factor: float) -> Image.Image:
    return picture.resize((round(factor * picture.width), round(factor * picture.height)))


def _cut(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    return picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def _screenshot(picture: Image.Image) -> Image.Image:
    """The picture, enlarged, in a window on a desktop."""
    shown = _resized(picture, 1.25)
    window = Image.new("RGB", (shown.width + 20, shown.height + 50), "white")
    window.paste(shown, (10, 40))
    desktop = Image.new("RGB", (window.width + 160, window.height + 90), "#335577")
    desktop.paste(window, (70, 30))
    return desktop


COPIES: Final[dict[str, Callable[[Image.Image], bytes]]] = {
    "stripped of its metadata": lambda picture: _saved(picture, "PNG"),
    "recompressed, JPEG 50": lambda picture: _saved(picture, "JPEG", quality=50),
    "enlarged by half, JPEG 80": lambda picture: _saved(_resized(picture, 1.5), "JPEG", quality=80),
    "reduced by a quarter, WebP 90": lambda picture: _saved(_resized(picture, 0.75), "WEBP", quality=90),
    "cropped unevenly, JPEG 80": lambda picture: _saved(_cut(picture, 0.08, 0.02, 0.97, 0.92), "JPEG", quality=80),
    "a screenshot in a window": lambda picture: _saved(_screenshot(picture), "PNG"),
}


def find_copies(demo: Demo, trust: TrustRoot) -> None:
    """Make every copy of the first image of every scene, and find where it comes from."""
    made = [(scene.composition.generation_id, scene.composition.images[0].image) for scene in demo.composed]
    with demo.studio.client("auditor") as client:
        for name, copied in COPIES.items():
            found = {at: identify(copied(image.convert("RGB")), client, trust) for at, image in made}
            for at, identification in found.items():
                generations = [match.likeness.generation.id for match in identification.matches]
                require(at in generations[:1], f"a copy of {at} ({name}) should lead to it, but led to {generations}")
                require(
                    all(version.approvals and version.consents for version in identification.matches[0].versions),
                    f"a copy of {at} ({name}) should lead to approvals and consents",
                )
            ways = Counter(map(_way, found.values()))
            told = ", ".join(f"{count} by {way}" for way, count in ways.items())
            demo.stage.say(f"{name:<32}{len(found)} of {len(found)} found: {told}")


def _way(found: Identification) -> str:
    likeness = found.matches[0].likeness
    return "watermark" if likeness.watermark else f"likeness ({likeness.distance} bits)"
