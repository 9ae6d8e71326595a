"""Screenshots: what is inside their borders comes out, and a picture without one is left alone."""

from __future__ import annotations

from PIL import Image

from sdk.credentials.framing import without_borders

PICTURE = Image.effect_noise((120, 90), 60).convert("RGB")


def framed(picture: Image.Image, *borders: tuple[str, int, int, int, int]) -> Image.Image:
    """The picture inside borders of (colour, left, top, right, bottom), the innermost first."""
    for colour, left, top, right, bottom in borders:
        around = Image.new("RGB", (picture.width + left + right, picture.height + top + bottom), colour)
        around.paste(picture, (left, top))
        picture = around
    return picture


class TestBorders:
    def test_what_is_inside_comes_out_exactly(self) -> None:
        (inside,) = without_borders(framed(PICTURE, ("white", 30, 80, 5, 12)))
        assert inside.tobytes() == PICTURE.tobytes()

    def test_one_inside_another_come_out_in_turn(self) -> None:
        shown = framed(PICTURE, ("white", 9, 9, 9, 9), ("#202020", 40, 60, 40, 10))
        outer, inner = without_borders(shown)
        assert outer.size == (138, 108)
        assert inner.tobytes() == PICTURE.tobytes()

    def test_a_title_bar_alone_is_a_border(self) -> None:
        (inside,) = without_borders(framed(PICTURE, ("#dddddd", 0, 28, 0, 0)))
        assert inside.size == PICTURE.size

    def test_a_picture_without_one_yields_nothing(self) -> None:
        assert list(without_borders(PICTURE)) == []

    def test_a_flat_picture_yields_nothing(self) -> None:
        assert list(without_borders(Image.new("RGB", (50, 50), "white"))) == []

    def test_a_speck_is_no_picture(self) -> None:
        assert list(without_borders(framed(PICTURE.crop((0, 0, 4, 4)), ("white", 60, 60, 60, 60)))) == []
