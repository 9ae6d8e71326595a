"""A log's tiles and nothing else, from wherever they lie: an address that everybody may read, or a folder. No credential.

    with open_mirror("https://registry.example/v1/log") as mirror:
        verify_log(mirror, trust)

The layout is C2SP tlog-tiles, so any static copy of a log will do. Nothing that is read here is believed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from sdk.client.transport import Service
from sdk.errors import NotFound
from sdk.spec.log_tiles import TILE_WIDTH, entries_path, tile_path

TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class LogMirror:
    """The checkpoint and tiles of a log, each by its path under the log's prefix."""

    read: Callable[[str], bytes]

    def log_checkpoint(self) -> bytes:
        return self.read("checkpoint")

    def log_tile(self, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return self.read(tile_path(level, index, width=width))

    def log_entry_bundle(self, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return self.read(entries_path(index, width=width))


@contextmanager
def open_mirror(place: str, *, transport: httpx.BaseTransport | None = None) -> Iterator[LogMirror]:
    """The log at `place`. Raises `ConfigurationError` for an address that is none, `NotFound` for what is not there."""
    if "://" not in place:
        yield LogMirror(lambda name: _read(Path(place) / name))
        return
    service = Service("log", place, None, transport=transport, timeout=TIMEOUT_SECONDS, sleep=time.sleep)
    try:
        yield LogMirror(lambda name: service.get_bytes(f"/{name}"))
    finally:
        service.close()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise NotFound(f"no part of a log can be read at {path}: {exc.strerror}") from exc
