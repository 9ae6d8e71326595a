"""Where the artwork comes from: four pinned npm packages and one pinned Python wheel, checked by digest.

Nothing is fetched at import or behind the caller's back: `fetch` calls the ordinary `npm` and `pip` clients, and
`open_source` raises when a file is absent or is not the pinned one. Licences: see ATTRIBUTION.md.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SourceMissing(FileNotFoundError):
    """A pinned package is not in the cache folder, or its digest differs."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A pinned package: client (`npm` or `pip`), name, version, file name in the cache, SHA-256 of that file."""

    client: str
    package: str
    version: str
    file: str
    sha256: str
    license: str


NOTO = Source(
    client="npm",
    package="@iconify-json/noto",
    version="1.2.9",
    file="iconify-json-noto-1.2.9.tgz",
    sha256="3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    license="Apache-2.0",
)
FLUENT_COLOR = Source(
    client="npm",
    package="@iconify-json/fluent-emoji",
    version="1.2.7",
    file="iconify-json-fluent-emoji-1.2.7.tgz",
    sha256="8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
    license="MIT",
)
FLUENT_FLAT = Source(
    client="npm",
    package="@iconify-json/fluent-emoji-flat",
    version="1.2.6",
    file="iconify-json-fluent-emoji-flat-1.2.6.tgz",
    sha256="7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    license="MIT",
)
FLUENT_3D = Source(
    client="npm",
    package="@lobehub/fluent-emoji-3d",
    version="1.1.0",
    file="lobehub-fluent-emoji-3d-1.1.0.tgz",
    sha256="c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    license="MIT",
)
CLIP_BPE = Source(
    client="pip",
    package="open-clip-torch",
    version="3.3.0",
    file="open_clip_torch-3.3.0-py3-none-any.whl",
    sha256="c549ad5ed6bfc119cc11105033c0a2b9d7a2a4afeb40a58a09aab3da1a0043ce",
    license="MIT",
)
ALL = (NOTO, FLUENT_COLOR, FLUENT_FLAT, FLUENT_3D, CLIP_BPE)


def fetch(source: Source, cache_dir: Path) -> Path:
    """Download one pinned package with its ordinary client unless it is there; returns the verified path."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    if not (cache_dir / source.file).exists():
        pinned = f"{source.package}{'@' if source.client == 'npm' else '=='}{source.version}"
        npm = ["npm", "pack", pinned, "--pack-destination", str(cache_dir)]
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", pinned, "-d", str(cache_dir)]
        subprocess.run(npm if source.client == "npm" else pip, check=True, capture_output=True)
    return verified(source, cache_dir)


def verified(source: Source, cache_dir: Path) -> Path:
    """The cached file of `source`; raises `SourceMissing` when absent or not the pinned bytes."""
    path = cache_dir / source.file
    if not path.exists():
        raise SourceMissing(
            f"{source.file} is not in {cache_dir}: run `python -m trainer.mini.train fetch --cache-dir {cache_dir}`"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != source.sha256:
        raise SourceMissing(f"{path}: expected sha256 {source.sha256}, found {found}: delete it and fetch again")
    return path


def read_icons(source: Source, cache_dir: Path) -> dict[str, Any]:
    """The `icons.json` of an Iconify package: SVG bodies by icon name."""
    with tarfile.open(verified(source, cache_dir)) as archive:
        return dict(json.loads(_read(archive, "package/icons.json")))


def read_characters(cache_dir: Path) -> dict[str, str]:
    """Code points (lower-case hex, joined by '-') to icon names, as Noto lists them."""
    with tarfile.open(verified(NOTO, cache_dir)) as archive:
        return dict(json.loads(_read(archive, "package/chars.json")))


def read_renders(cache_dir: Path) -> dict[str, bytes]:
    """The 3D renders as WebP bytes by code point."""
    with tarfile.open(verified(FLUENT_3D, cache_dir)) as archive:
        members = [member for member in archive if member.name.endswith(".webp")]
        return {Path(member.name).stem: _read(archive, member.name) for member in members}


def read_bpe_merges(cache_dir: Path) -> bytes:
    """CLIP's byte-pair merges, gzip-compressed text as published."""
    with zipfile.ZipFile(verified(CLIP_BPE, cache_dir)) as wheel:
        return wheel.read("open_clip/bpe_simple_vocab_16e6.txt.gz")


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise SourceMissing(f"{archive.name}: {name} is not a file: delete it and fetch again")
    return file.read()
