"""Naming a base model by content: one digest over the files of a local diffusers directory.

No torch here. Trainer and SDK compute the same digest, so a concept cannot be composed on another base than the
one it was learned on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from sdk.errors import BackboneError
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest

PIPELINE_INDEX: Final = "model_index.json"
_COUNTED_SUFFIXES: Final = frozenset({".json", ".safetensors", ".txt"})
_READ_BYTES: Final = 1 << 20

Stamp = tuple[str, int, int, int]  # path, size, when it was written, and when anything of it was changed


def base_model_digest(directory: Path) -> Digest:
    """The digest of the sorted list of (relative path, SHA-256) of every component file in `directory`.

    Counted are .json, .safetensors and .txt files inside component folders, and the pipeline index. Computed once
    a process for an unchanged directory.

    Raises:
        BackboneError: the directory is no diffusers pipeline.
    """
    return _digest_of(str(directory), base_model_stamps(directory))


def base_model_stamps(directory: Path) -> tuple[Stamp, ...]:
    """What tells that a file of `directory` changed, without reading any.

    It notices a file that was replaced by one of the same size and time of writing, for the time of change is another.

    Raises:
        BackboneError: the directory is no diffusers pipeline.
    """
    index = directory / PIPELINE_INDEX
    if not index.is_file():
        raise BackboneError(
            f"{directory} is no diffusers pipeline: {PIPELINE_INDEX} is missing; give the path of a local "
            "Stable Diffusion directory as saved by save_pretrained"
        )
    return tuple(sorted([_stamp_of(str(index), index.stat()), *_component_stamps(directory)]))


def _component_stamps(directory: Path) -> Iterator[Stamp]:
    """Asked at every call, so by `os.scandir`, which is several times as fast as `Path.glob`."""
    with os.scandir(directory) as folders:
        for folder in folders:
            if folder.is_dir():
                with os.scandir(folder) as files:
                    yield from (_stamp_of(file.path, file.stat()) for file in files if _counts(file))


def _counts(file: os.DirEntry[str]) -> bool:
    return os.path.splitext(file.name)[1] in _COUNTED_SUFFIXES and file.is_file()


def _stamp_of(path: str, found: os.stat_result) -> Stamp:
    return path, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=8)
def _digest_of(directory: str, stamps: tuple[Stamp, ...]) -> Digest:
    root = Path(directory)
    listing = [[Path(name).relative_to(root).as_posix(), _sha256(Path(name))] for name, *_ in stamps]
    return Digest.of(encode_canonical(sorted(listing)))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
