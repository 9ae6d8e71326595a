"""Pictures of every kind and state: each becomes one RGB picture or one clear refusal. Nothing is fetched or run.

A case is a function that makes a file. Adding one needs no other code.
"""

from __future__ import annotations

import io
import socket
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdk.credentials import picture as reading
from sdk.credentials.fingerprint import fingerprint
from sdk.credentials.picture import media_type, read_picture
from sdk.errors import InputError

SCENE = Image.linear_gradient("L").resize((96, 96)).rotate(30)
COLOURED = Image.merge("RGB", (SCENE, SCENE.rotate(90), SCENE.rotate(180)))
XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><!DOCTYPE x [<!ENTITY a SYSTEM "http://192.0.2.1/">
<!ENTITY b "&a;&a;&a;&a;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;<script>alert(1)</script></x:xmpmeta>"""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def hostile_xmp() -> bytes:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP)
    return saved(COLOURED, "PNG", pnginfo=info)


def hostile_exif() -> bytes:
    """An EXIF block whose offsets point outside of it and at itself."""
    entries = struct.pack("<HHHII", 2, 0x0112, 3, 1, 1) + struct.pack("<HHII", 0x8769, 4, 1, 8)
    return saved(COLOURED, "JPEG", exif=b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + b"\xff" * 40)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(COLOURED.rotate(90, expand=True), "JPEG", exif=exif, quality=95)


def animated() -> bytes:
    return saved(COLOURED, "GIF", save_all=True, append_images=[COLOURED.rotate(90 * i) for i in range(3)])


def sixteen_bits() -> bytes:
    return saved(Image.fromarray(np.asarray(SCENE).astype(np.uint16) * 257), "PNG")


def floats(white: float) -> bytes:
    return saved(Image.fromarray((np.asarray(SCENE) * (white / 255)).astype(np.float32)), "TIFF")


def transparent() -> bytes:
    shown = COLOURED.copy()
    shown.putalpha(SCENE)
    return saved(shown, "WEBP", lossless=True)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_size(width: int, height: int, data: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", zlib.compress(data))
        + png_chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """A few kilobytes that claim, and would inflate to, 300 megabytes."""
    return png_of_size(10_000, 10_000, bytes(10_000_000))


def text_bomb() -> bytes:
    """A compressed text of 200 megabytes before the pixels."""
    plain = saved(COLOURED, "PNG")
    text = b"a\0\0" + zlib.compress(bytes(200_000_000), 1)
    return plain[:33] + png_chunk(b"zTXt", text) + plain[33:]


READ: dict[str, Callable[[], bytes]] = {
    "png": lambda: saved(COLOURED, "PNG"),
    "jpeg": lambda: saved(COLOURED, "JPEG"),
    "progressive jpeg": lambda: saved(COLOURED, "JPEG", progressive=True),
    "webp": lambda: saved(COLOURED, "WEBP"),
    "tiff": lambda: saved(COLOURED, "TIFF"),
    "grey": lambda: saved(SCENE, "PNG"),
    "cmyk": lambda: saved(COLOURED.convert("CMYK"), "JPEG", quality=95),
    "palette": lambda: saved(COLOURED.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "16 bits": sixteen_bits,
    "floats up to 1": lambda: floats(1),
    "floats up to 255": lambda: floats(255),
    "floats up to 65535": lambda: floats(65535),
    "animated": animated,
    "transparent": transparent,
    "turned by EXIF": turned,
    "hostile XMP": hostile_xmp,
    "hostile EXIF": hostile_exif,
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"no picture",
    "only a signature": lambda: b"\x89PNG\r\n\x1a\n",
    "truncated png": lambda: saved(COLOURED, "PNG")[:-200],
    "truncated jpeg": lambda: saved(COLOURED, "JPEG")[:-400],
    "truncated webp": lambda: saved(COLOURED, "WEBP")[:-200],
    "spoilt pixels": lambda: (lambda png: png[:60] + bytes(40) + png[100:])(saved(COLOURED, "PNG")),
    "bomb": bomb,
    "text bomb": text_bomb,
    "claims to be huge": lambda: png_of_size(2**31 - 1, 2**31 - 1),
    "no width": lambda: png_of_size(0, 5),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("reading a picture opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


class TestReading:
    @pytest.mark.parametrize("make", READ.values(), ids=READ)
    def test_is_read_as_what_it_shows(self, make: Callable[[], bytes]) -> None:
        picture = read_picture(make())
        assert (picture.mode, picture.size) == ("RGB", (96, 96))
        assert fingerprint(picture) is not None

    @pytest.mark.parametrize("name", ["jpeg", "webp", "tiff", "cmyk", "palette", "animated", "turned by EXIF"])
    def test_kinds_of_file_do_not_change_what_is_found(self, name: str) -> None:
        expected, found = fingerprint(COLOURED), fingerprint(read_picture(READ[name]()))
        assert expected
        assert found
        assert expected.distance(found) <= 24

    @pytest.mark.parametrize("name", [name for name in READ if name.startswith(("16 bits", "floats"))])
    def test_depth_does_not_change_what_is_shown(self, name: str) -> None:
        apart = np.asarray(read_picture(READ[name]()), dtype=int) - np.asarray(SCENE.convert("RGB"), dtype=int)
        assert np.abs(apart).max() <= 1

    @pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
    def test_is_refused_in_one_sentence(self, make: Callable[[], bytes]) -> None:
        with pytest.raises(InputError, match=r"no picture that can be read|too large"):
            read_picture(make())

    def test_every_beginning_of_a_picture_is_read_or_refused(self) -> None:
        whole = saved(COLOURED, "JPEG")
        for length in range(0, len(whole), 37):
            with pytest.raises(InputError):
                read_picture(whole[:length])

    def test_a_file_that_is_too_large_is_not_opened(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MAX_BYTES", 100)
        with pytest.raises(InputError, match="at most 100 are read"):
            read_picture(saved(COLOURED, "PNG"))


class TestMediaType:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
    def test_is_what_the_file_begins_as(self, kind: str) -> None:
        assert media_type(saved(COLOURED, kind)) == f"image/{kind.lower()}"

    def test_of_something_else_is_none(self) -> None:
        assert media_type(b"") is media_type(b"BM......") is media_type(b"<svg/>") is None
