"""sdk.pictures: what is stored turned is shown upright, and damaged EXIF stops nobody."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image, ImageOps

from sdk.credentials.picture import read_picture
from sdk.generate.photo import read_photo
from sdk.pictures import upright

NO_HEADER = b"no TIFF header"
ODD_TYPES = [(0x0100, 1, 1), (0x010E, 5, 1), (0x011A, 1, 1)]  # tag, type, count: of another type than the tag has


def turned(exif: bytes | Image.Exif) -> Image.Image:
    """What was saved with this EXIF: red at the left, blue at the right, 64 x 32."""
    picture = Image.new("RGB", (64, 32), "blue")
    picture.paste("red", (0, 0, 24, 20))
    content = io.BytesIO()
    picture.save(content, "PNG", exif=exif)
    return Image.open(content)


def odd_entry(tag: int, kind: int, count: int) -> bytes:
    """EXIF that says a quarter turn beside an entry that is not as it must be."""
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", tag, kind, count, 8)
    return b"II*\0\x08\0\0\0\x02\0" + entries + bytes(4)


def file_of(exif: bytes) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 32)).save(content, "JPEG", exif=b"Exif\0\0" + exif)
    return content.getvalue()


class TestUpright:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_turns_as_pillow_does(self, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert upright(turned(exif)).tobytes() == ImageOps.exif_transpose(turned(exif)).tobytes()

    def test_leaves_a_picture_whose_exif_cannot_be_read(self) -> None:
        assert upright(turned(NO_HEADER)).tobytes() == turned(b"").tobytes()

    @pytest.mark.parametrize("entry", ODD_TYPES)
    def test_is_how_photos_and_pictures_with_credentials_are_read(self, entry: tuple[int, int, int]) -> None:
        content = file_of(odd_entry(*entry))
        assert read_photo(content, None, 0.5, None).picture.size == (32, 64)
        assert read_picture(content).size == (32, 64)
