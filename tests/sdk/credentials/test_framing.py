"""Screenshots: the pictures in them come out, whatever is around them, and a picture without a background is left alone."""

from __future__ import annotations

from PIL import Image, ImageDraw

from sdk.credentials.framing import pictures_in

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
        (inside,) = pictures_in(framed(PICTURE, ("white", 30, 80, 5, 12)))
        assert inside.tobytes() == PICTURE.tobytes()

    def test_one_inside_another_come_out_in_turn(self) -> None:
        shown = framed(PICTURE, ("white", 9, 9, 9, 9), ("#202020", 40, 60, 40, 10))
        outer, inner = pictures_in(shown)
        assert outer.size == (138, 108)
        assert inner.tobytes() == PICTURE.tobytes()

    def test_a_title_bar_alone_is_a_border(self) -> None:
        (inside,) = pictures_in(framed(PICTURE, ("#dddddd", 0, 28, 0, 0)))
        assert inside.size == PICTURE.size

    def test_a_picture_without_one_yields_nothing(self) -> None:
        assert list(pictures_in(PICTURE)) == []

    def test_a_flat_picture_yields_nothing(self) -> None:
        assert list(pictures_in(Image.new("RGB", (50, 50), "white"))) == []

    def test_a_speck_is_no_picture(self) -> None:
        assert list(pictures_in(framed(PICTURE.crop((0, 0, 4, 4)), ("white", 60, 60, 60, 60)))) == []


class TestPage:
    """A page with text and several pictures, as a browser shows it."""

    def page(self) -> Image.Image:
        page = Image.new("RGB", (600, 500), "white")
        pen = ImageDraw.Draw(page)
        pen.text((20, 20), "Look what I found")
        pen.text((20, 330), "12 comments")
        page.paste(PICTURE.resize((300, 225)), (20, 60))
        page.paste(PICTURE.rotate(180), (20, 380))
        page.paste(PICTURE, (160, 380))
        return framed(page, ("#223344", 50, 70, 40, 30))

    def test_each_picture_comes_out_exactly(self) -> None:
        found = {part.tobytes() for part in pictures_in(self.page())}
        assert {PICTURE.resize((300, 225)).tobytes(), PICTURE.rotate(180).tobytes(), PICTURE.tobytes()} <= found

    def test_largest_first_and_not_too_many(self) -> None:
        sizes = [part.width * part.height for part in pictures_in(self.page())]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) <= 6

    def test_a_chessboard_of_things_ends(self) -> None:
        board = Image.new("RGB", (400, 400), "white")
        for number in range(400):
            board.putpixel((number % 20 * 20, number // 20 * 20), (0, 0, 0))
        assert len(list(pictures_in(board))) <= 6
