"""The rows of a campaign: what each asks for, what became of it, and the files that remember it.

`manifest.jsonl` has one line a row. It is only ever appended to; of a row that was asked again, the last line counts.
`begun.json` names the call that is under way, so that one that is cut off goes on under its own idempotency key, while a
decision as old as it is believed.
What composes the rows is `sdk.compose.campaign`.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import AwareDatetime

from sdk.compose.key import IntentKey
from sdk.errors import ConfigurationError
from sdk.local_files import keep_file, read_file
from sdk.signing.grants import CLOCK_SKEW
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import LogReceipt

MANIFEST_FILE: Final = "manifest.jsonl"
BEGUN_FILE: Final = "begun.json"
_COLUMNS: Final = (
    *("outcome", "subject", "background", "scene", "purpose", "territory", "channel"),
    *("generation", "log_entry", "images", "versions", "reason"),
)


class Outcome(StrEnum):
    """What became of a row."""

    COMPOSED = "composed"
    REFUSED = "refused"  # by policy, or because a version is not approved; asked again the next time


class SavedImage(WireModel):
    """An image file of a row, in the campaign's folder."""

    file: str
    digest: Digest


class Variant(WireModel):
    """One row of the matrix: what is asked for."""

    subject: str
    background: str | None = None
    scene: str  # {subject} and {background} stand for the concepts
    purpose: str
    territory: str
    channel: str
    options: dict[str, Any]  # of the compose call: count, seed, steps, ...; as they were given

    @property
    def digest(self) -> Digest:
        return Digest.of(encode_canonical(self))

    @property
    def concepts(self) -> dict[str, str]:
        """The compose call's concepts by their names in the scene."""
        named = {"subject": self.subject, "background": self.background}
        return {name: reference for name, reference in named.items() if reference}


class VariantRow(WireModel):
    """A line of the manifest: a row and what became of it."""

    variant: Variant
    outcome: Outcome
    at: AwareDatetime
    images: tuple[SavedImage, ...] = ()
    versions: tuple[str, ...] = ()
    generation: RecordId | None = None
    receipt: LogReceipt | None = None  # proves that the result is recorded
    reason: str | None = None  # of a refusal


class _Begun(WireModel):
    """A call for a row, before anything of it is sent."""

    variant: Digest
    idempotency_key: str
    at: AwareDatetime | None = None  # none: from before that was kept, and so too long ago


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """The rows of a matrix that were decided so far, in its order, and how many there are in all."""

    folder: Path
    rows: tuple[VariantRow, ...]
    total: int

    @property
    def complete(self) -> bool:
        """Whether every row is composed."""
        return sum(row.outcome is Outcome.COMPOSED for row in self.rows) == self.total

    def write_csv(self, path: Path | str) -> None:
        """Write one line a row, for a spreadsheet."""
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(map(_as_columns, self.rows))


def read_manifest(folder: Path) -> tuple[VariantRow, ...]:
    """The rows in a folder's manifest; of a row that was asked again, the last line counts.

    A last line without its end was being written when the program stopped, and is no row. Raises `FormatError`.
    """
    path = folder / MANIFEST_FILE
    if not path.exists():
        return ()
    lines = path.read_bytes().split(b"\n")[:-1]
    rows = [parse_wire(VariantRow, line, f"{path} line {number}") for number, line in enumerate(lines, 1)]
    return tuple({row.variant.digest: row for row in rows}.values())


def stands(folder: Path, row: VariantRow) -> bool:
    """Whether what a row says still holds: of a composed one, that its files are the ones that were recorded."""
    return all(
        (folder / image.file).is_file() and Digest.of((folder / image.file).read_bytes()) == image.digest
        for image in row.images
    )


def append_row(folder: Path, row: VariantRow) -> None:
    """Add a row to the folder's manifest; on return it is on the disk, and the call that was begun for it is over."""
    with open(folder / MANIFEST_FILE, "ab") as file:
        file.write(encode_canonical(row) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    (folder / BEGUN_FILE).unlink(missing_ok=True)


def begin(folder: Path, variant: Digest, at: datetime) -> str:
    """The key of a new call for a row; on return it is on the disk."""
    begun = _Begun(variant=variant, idempotency_key=IntentKey.fresh().text, at=at)
    keep_file(folder / BEGUN_FILE, encode_canonical(begun))
    return begun.idempotency_key


def begun_before(folder: Path, variant: Digest, now: datetime) -> str | None:
    """The key of the call that was cut off, if it was for this row and may go on still. Raises `FormatError`."""
    content = read_file(folder / BEGUN_FILE)
    begun = parse_wire(_Begun, content, str(folder / BEGUN_FILE)) if content else None
    if begun is None or begun.variant != variant or begun.at is None or now - begun.at >= CLOCK_SKEW:
        return None
    return begun.idempotency_key


def open_folder(folder: Path) -> Path:
    """Make the folder, and take a half-written last line off its manifest. Raises `ConfigurationError`."""
    path = folder / MANIFEST_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)
    except OSError as exc:
        raise ConfigurationError(f"the campaign cannot be written to {folder}: {exc.strerror}") from exc
    return folder


def _as_columns(row: VariantRow) -> dict[str, Any]:
    asked = {name: getattr(row.variant, name) for name in _COLUMNS[1:7]}
    return asked | {
        "outcome": row.outcome.value,
        "generation": row.generation,
        "log_entry": row.receipt.index if row.receipt else None,
        "images": " ".join(image.file for image in row.images),
        "versions": " ".join(row.versions),
        "reason": row.reason,
    }
