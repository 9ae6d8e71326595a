"""The invisible watermark: what it survives at which size, what it costs the picture, and that nothing else has one.

The counts below are what was measured on 21 pictures, with a little room; docs/credentials.md has the table.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image
from support.pictures import Change, drawings, jpeg, photographs, scaled, webp

from sdk.credentials.watermark import SMALLEST_SIDE, embed, extract, new_watermark_id
from sdk.spec.watermark import WatermarkId

MARK = WatermarkId("wm61:0123456789abcdef")


def pictures(side: int) -> list[Image.Image]:
    """The example pictures and half of what the small base model draws, at one size."""
    found = [*photographs(), *drawings()[:8]]
    return [picture.resize((side, side), Image.Resampling.LANCZOS) for picture in found]


def flat_change(without: Image.Image, with_it: Image.Image) -> float | None:
    """The root mean square of what the mark changes in flat blocks; none in a picture without any."""
    luma, marked = (np.asarray(each.convert("RGB"), dtype=float).mean(axis=2) for each in (without, with_it))
    side = len(luma) // 8
    blocks, change = (each.reshape(side, 8, side, 8).transpose(0, 2, 1, 3) for each in (luma, marked - luma))
    flat = change[blocks.std(axis=(2, 3)) < 5]
    return float(np.sqrt((flat**2).mean())) if flat.size else None


CHANGES = {f"jpeg {quality}": jpeg(quality) for quality in (50, 75, 95)}
CHANGES |= {f"scaled {factor}": scaled(factor) for factor in (0.5, 0.75, 1.5, 2.0)}
CHANGES |= {"webp 90": webp(90), "none": lambda picture: picture}


@pytest.fixture(scope="module", params=[128, 256, 512])
def marked(request: pytest.FixtureRequest) -> list[tuple[Image.Image, Image.Image]]:
    """Pictures of one size, without and with the mark."""
    return [(picture, embed(picture, MARK)) for picture in pictures(request.param)]  # type: ignore[misc]


class TestMark:
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_survives(self, marked: list[tuple[Image.Image, Image.Image]], change: Change) -> None:
        assert [extract(change(with_it)) for _, with_it in marked] == [MARK] * len(marked)

    def test_is_hard_to_see(self, marked: list[tuple[Image.Image, Image.Image]]) -> None:
        for without, with_it in marked:
            error = (np.asarray(without, dtype=float) - np.asarray(with_it, dtype=float)) ** 2
            decibels = 10 * np.log10(255**2 / error.mean())
            assert decibels > (44 if without.width >= 256 else 38)

    def test_is_gentlest_where_the_picture_is_flat(self, marked: list[tuple[Image.Image, Image.Image]]) -> None:
        """There it would be seen: grey levels of change in 8 x 8 blocks that deviate by less than 5."""
        changes = [flat_change(without, with_it) for without, with_it in marked]
        seen = [change for change in changes if change is not None]
        assert sum(seen) / len(seen) < {128: 1.3, 256: 0.75, 512: 1.0}[marked[0][0].width]

    def test_mostly_survives_the_quality_that_websites_save_webp_with(self) -> None:
        saved = [extract(webp(80)(embed(picture, MARK))) for picture in pictures(512)[:6]]  # type: ignore[arg-type]
        assert saved == [MARK] * len(saved)

    def test_a_logo_over_it_is_survived(self) -> None:
        for picture in pictures(256)[:4]:
            marked = embed(picture, MARK)
            assert marked is not None
            marked.paste("white", (10, 10, 90, 70))
            assert extract(marked) == MARK

    def test_is_lost_in_a_crop(self) -> None:
        picture = embed(pictures(512)[0], MARK)
        assert picture is not None
        assert extract(picture.crop((20, 20, 500, 490))) is None

    @pytest.mark.parametrize("size", [(640, 256), (256, 640), (131, 517)])
    def test_fits_pictures_that_are_not_square(self, size: tuple[int, int]) -> None:
        picture = embed(pictures(512)[1].resize(size), MARK)
        assert picture is not None
        assert picture.size == size
        assert extract(jpeg(75)(picture)) == MARK

    def test_small_pictures_carry_none(self) -> None:
        assert embed(pictures(SMALLEST_SIDE - 1)[0], MARK) is None

    @pytest.mark.parametrize("colour", ["white", "black", "#808080"])
    def test_a_flat_picture_reads_as_nothing(self, colour: str) -> None:
        flat = Image.new("RGB", (256, 256), colour)
        assert extract(flat) is None
        marked = embed(flat, MARK)
        assert marked is None or extract(marked) == MARK

    def test_is_not_claimed_of_a_picture_that_does_not_keep_it(self) -> None:
        noise = np.random.default_rng(2).integers(0, 2, (128, 128, 3), dtype=np.uint8) * 255
        marked = embed(Image.fromarray(noise), MARK)
        assert marked is None or extract(marked) == MARK

    def test_pictures_without_one_have_none(self) -> None:
        assert [extract(picture) for side in (128, 512) for picture in pictures(side)] == [None] * 26
        noise = np.random.default_rng(1).integers(0, 256, (40, 128, 128, 3), dtype=np.uint8)
        assert sum(extract(Image.fromarray(each)) is not None for each in noise) <= 1

    def test_every_id_can_be_carried(self) -> None:
        chosen, picture = random.Random(3), pictures(256)[2]
        for number in (1, 2**61 - 1, *(chosen.getrandbits(61) for _ in range(8))):
            mark = WatermarkId(f"wm61:{number:016x}")
            assert extract(embed(picture, mark)) == mark  # type: ignore[arg-type]

    def test_is_read_where_it_was_always_read(self) -> None:
        """Places and signs come from a fixed key: another key would orphan every mark on record."""
        from sdk.credentials.watermark import _places

        order, signs = _places(256)
        assert order[0, :4].tolist() == [4396, 854, 1825, 2685]
        assert signs[0, :4].tolist() == [1, -1, -1, -1]


class TestIds:
    def test_are_random(self) -> None:
        made = {new_watermark_id() for _ in range(100)}
        assert len(made) == 100
        assert all(mark.number < 2**61 for mark in made)
