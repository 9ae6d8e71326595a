"""Tiles of the log: their paths and the encoding of entry bundles. C2SP tlog-tiles, https://c2sp.org/tlog-tiles

A tile holds up to 256 hashes of one level of the tree; a bundle holds the entries under a level-0 tile. Paths are
relative to the log's prefix: `tile/0/x001/067`, `tile/entries/000.p/17`. Pure; who stores and serves them is not here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sdk.errors import FormatError
from sdk.spec.log_entry import MAX_ENTRY_BYTES

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
_INDEX = re.compile(r"(?:x[0-9]{3}/)*[0-9]{3}")
_LENGTH_BYTES: Final = 2  # big-endian uint16 before every entry


def encode_tile_index(index: int) -> str:
    """1234067 as `x001/x234/067`."""
    if index < 0:
        raise FormatError(f"a tile index is not negative, found {index}")
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def parse_tile_index(text: str) -> int:
    """Read `x001/x234/067`. Raises `FormatError`, also for a spelling that `encode_tile_index` would not write."""
    if not _INDEX.fullmatch(text) or len(text) > 30:
        raise FormatError(f"expected a tile index such as 'x001/067', found {text!r}")
    index = int(re.sub(r"[^0-9]", "", text))
    if encode_tile_index(index) != text:
        raise FormatError(f"tile index {text!r} is written {encode_tile_index(index)!r}")
    return index


def tile_path(level: int, index: int, *, width: int = TILE_WIDTH) -> str:
    """The path of a tile of hashes; a `width` below 256 is a partial tile."""
    return f"tile/{level}/{encode_tile_index(index)}{_partial(width)}"


def entries_path(index: int, *, width: int = TILE_WIDTH) -> str:
    """The path of an entry bundle."""
    return f"tile/entries/{encode_tile_index(index)}{_partial(width)}"


def _partial(width: int) -> str:
    if not 1 <= width <= TILE_WIDTH:
        raise FormatError(f"a tile is 1 to {TILE_WIDTH} wide, found {width}")
    return "" if width == TILE_WIDTH else f".p/{width}"


def encode_entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries one after the other, each behind its length."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise FormatError(f"a log entry has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def parse_entry_bundle(content: bytes, *, width: int) -> tuple[bytes, ...]:
    """Read exactly `width` entries. Raises `FormatError` when there are more, fewer or broken ones."""
    entries: list[bytes] = []
    position = 0
    while position < len(content):
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(content[position:start], "big")
        if start > len(content) or position > len(content):
            raise FormatError(f"entry bundle ends inside entry {len(entries)}")
        entries.append(content[start:position])
    if len(entries) != width:
        raise FormatError(f"expected an entry bundle of {width} entries, found {len(entries)}")
    return tuple(entries)
