"""A fingerprint stays near itself when a picture is copied, and far from those of other pictures.

Unrelated fingerprints differ in about 128 of 256 bits. Measured on these pictures: recompressed, resized and mirrored
copies differ in at most 12 bits, crops of the recorded regions in at most 14, any crop by up to a tenth of each side in
at most 26, different pictures in at least 76. The bounds leave room for other decoders.
"""

from __future__ import annotations

import itertools
import random

import pytest
from PIL import Image, ImageDraw
from support.pictures import Change, drawings, jpeg, photographs, scaled

from sdk.credentials.fingerprint import (
    REGIONS,
    fingerprint,
    fingerprints_of_crops,
    fingerprints_of_output,
    fingerprints_of_query,
)
from sdk.errors import FormatError
from sdk.spec.fingerprint import FINGERPRINT_BITS, Fingerprint
from sdk.spec.identify import MAX_FINGERPRINTS, NEAR

COPY, CROP, OTHER = 20, 24, 60  # bits


PICTURES = photographs() + drawings()
HELD = [fingerprints_of_output(picture) for picture in PICTURES]


def nearest(asked: tuple[Fingerprint, ...], held: tuple[Fingerprint, ...]) -> int:
    return min(one.distance(other) for one in asked for other in held)


def cropped(left: float, top: float, right: float, bottom: float) -> Change:
    return lambda picture: picture.crop(
        (
            round(left * picture.width),
            round(top * picture.height),
            round(right * picture.width),
            round(bottom * picture.height),
        )
    )


def mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


COPIES = {f"jpeg {quality}": jpeg(quality) for quality in (50, 75, 95)}
COPIES |= {f"scaled {factor}": scaled(factor) for factor in (0.5, 0.75, 1.5, 2.0)}
COPIES |= {"halved, jpeg 50": lambda picture: jpeg(50)(scaled(0.5)(picture)), "mirrored": mirrored}


def drawn(number: int) -> Image.Image:
    """A horizon and a few shapes."""
    chosen = random.Random(number)
    colour = lambda: tuple(chosen.randrange(256) for _ in range(3))  # noqa: E731 - a name for a line
    picture = Image.new("RGB", (96, 96), colour())
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, chosen.randrange(30, 80), 96, 96), fill=colour())
    for _ in range(chosen.randrange(2, 7)):
        x, y = chosen.randrange(80), chosen.randrange(80)
        shape = chosen.choice((pen.ellipse, pen.rectangle))
        shape((x, y, x + chosen.randrange(9, 60), y + chosen.randrange(9, 60)), fill=colour())
    return picture


class TestFingerprint:
    @pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
    def test_of_a_copy_is_near(self, change: Change) -> None:
        found = [nearest(fingerprints_of_query(change(p)), held) for p, held in zip(PICTURES, HELD, strict=True)]
        assert max(found) <= COPY

    @pytest.mark.parametrize("region", REGIONS, ids=str)
    def test_of_a_crop_to_a_recorded_region_is_near(self, region: tuple[float, float, float, float]) -> None:
        crops = [fingerprints_of_query(cropped(*region)(picture)) for picture in PICTURES]
        assert max(nearest(asked, held) for asked, held in zip(crops, HELD, strict=True)) <= CROP

    def test_of_any_crop_by_up_to_a_tenth_is_near(self) -> None:
        chosen = random.Random(5)
        for picture, held in zip(PICTURES, HELD, strict=True):
            left, top, right, bottom = (chosen.uniform(0, 0.1) for _ in range(4))
            copy = jpeg(75)(cropped(left, top, 1 - right, 1 - bottom)(picture))
            assert nearest(fingerprints_of_query(copy) + fingerprints_of_crops(copy), held) <= NEAR

    def test_of_another_picture_is_far_however_it_is_cut(self) -> None:
        asked = [fingerprints_of_query(picture) + fingerprints_of_crops(picture) for picture in PICTURES[:8]]
        pairs = ((one, other) for one in range(8) for other in range(len(PICTURES)) if one != other)
        assert min(nearest(asked[one], HELD[other]) for one, other in pairs) >= OTHER

    def test_of_another_picture_is_far(self) -> None:
        asked = [fingerprints_of_query(picture) for picture in PICTURES]
        pairs = itertools.permutations(range(len(PICTURES)), 2)
        assert min(nearest(asked[one], HELD[other]) for one, other in pairs) >= OTHER

    def test_one_query_holds_those_of_all_crops(self) -> None:
        assert max(len(fingerprints_of_crops(picture)) for picture in PICTURES) <= MAX_FINGERPRINTS
        assert len(REGIONS) <= 32

    def test_rarely_takes_one_drawn_picture_for_another(self) -> None:
        """11,990 ordered pairs. Of 159,600 pairs of simpler drawings, some with a single shape: 1 in 31 bits, 3 in 40."""
        drawings = [drawn(number) for number in range(110)]
        asked = [fingerprints_of_query(picture) for picture in drawings]
        held = [fingerprints_of_output(picture) for picture in drawings]
        pairs = itertools.permutations(range(len(drawings)), 2)
        assert sum(nearest(asked[one], held[other]) <= CROP for one, other in pairs) <= 2

    def test_keeps_its_value(self) -> None:
        """Fingerprints are compared with ones recorded years ago."""
        ramp = Image.new("L", (64, 64))
        ramp.putdata([(x * x + 3 * y * x) % 256 for y in range(64) for x in range(64)])
        assert fingerprint(ramp) == "dct256:006800fb017d12fb01bc8bfd3df400eb2efcfee826d40ee2f6b24bb45798edc0"

    @pytest.mark.parametrize("colour", ["white", "black", "#7f7f7f"])
    def test_a_flat_picture_has_none(self, colour: str) -> None:
        flat = Image.new("RGB", (128, 128), colour)
        assert fingerprints_of_output(flat) == fingerprints_of_query(flat) == ()

    @pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2)])
    def test_of_a_tiny_picture_is_no_error(self, size: tuple[int, int]) -> None:
        picture = Image.new("RGB", size)
        picture.putpixel((0, 0), (255, 255, 255))
        assert all(isinstance(held, Fingerprint) for held in fingerprints_of_output(picture))


class TestDistance:
    def test_counts_the_bits_that_differ(self) -> None:
        zero, one = Fingerprint("dct256:" + "0" * 64), Fingerprint("dct256:" + "0" * 62 + "81")
        assert (zero.distance(zero), zero.distance(one), one.distance(zero)) == (0, 2, 2)
        assert zero.distance(Fingerprint("dct256:" + "f" * 64)) == FINGERPRINT_BITS

    @pytest.mark.parametrize("text", ["", "0" * 64, "dct256:" + "0" * 63, "dct256:" + "F" * 64, "pdq:" + "0" * 64])
    def test_refuses_what_is_no_fingerprint(self, text: str) -> None:
        with pytest.raises(FormatError, match="expected a fingerprint"):
            Fingerprint(text)
