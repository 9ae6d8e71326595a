"""`sdk.variants`: a matrix of subjects, backgrounds, scenes and territories, composed row by row.

Every row is an ordinary governed compose call: its own decision, record, receipt and credentials. What is finished
stands in `manifest.jsonl` beside the images, one line a row, appended and flushed before the next row begins. So a
campaign that was stopped goes on where it stopped, and rows that were refused are asked again.
"""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import AwareDatetime

from sdk.client import Client
from sdk.compose.call import check_use, compose, utc_now
from sdk.compose.values import Clock, Composition
from sdk.errors import ConfigurationError, InputError, NotApproved, PolicyDenied
from sdk.generate.layout import parse_layout
from sdk.generate.pipeline import Sampling
from sdk.generate.scene import concept_of, parse_scene, plain_text
from sdk.profile import Profile, load_profile
from sdk.resolve import connect
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import LogReceipt

MANIFEST_FILE: Final = "manifest.jsonl"
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


OnRow = Callable[[VariantRow, int, int], None]
"""Called after every row with the row, how many are decided, and how many there are."""


def variants(
    subjects: Sequence[str],
    backgrounds: Sequence[str],
    scenes: Sequence[str],
    territories: Sequence[str],
    *,
    purpose: str,
    channel: str,
    folder: Path | str,
    limit: int | None = None,
    count: int = 1,
    seed: int = 0,
    steps: int = 30,
    guidance: float = 5.0,
    negative_prompt: str | None = None,
    size: tuple[int, int] | None = None,
    layout: Mapping[str, Sequence[float]] | None = None,
    profile: Profile | Path | None = None,
    client: Client | None = None,
    on_row: OnRow | None = None,
    clock: Clock = utc_now,
) -> Campaign:
    """Compose every combination into `folder`; what is finished there is not composed again.

    Scenes speak of `{subject}` and `{background}`; without backgrounds, of `{subject}` alone. `limit` composes at most
    so many rows in this call: a batch. The other options are those of `sdk.compose`.

    Raises:
        InputError, SceneError: a scene, a concept or a use cannot be used; raised before anything is composed.
        Everything that `sdk.compose` raises but a refusal, which is a row. What is finished stays finished.
    """
    sampling = Sampling(
        seed=seed, steps=steps, guidance=guidance, negative_prompt=plain_text(negative_prompt or ""), size=size
    )
    for territory in territories:
        check_use(purpose, territory, channel, sampling, count)
    options: dict[str, Any] = {"count": count, "seed": seed, "steps": steps, "guidance": guidance, "size": size}
    options |= {"negative_prompt": negative_prompt, "layout": layout}
    matrix = _matrix(subjects, backgrounds, scenes, territories, purpose, channel, options)
    place = _open_folder(Path(folder))
    finished = {row.variant.digest: row for row in read_manifest(place) if _stands(place, row)}
    waiting = [variant for variant in matrix if variant.digest not in finished][:limit]
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    connection = client or connect(chosen)
    try:
        for variant in waiting:
            row = _compose_row(variant, place, chosen, connection, clock)
            _append(place, row)
            finished[variant.digest] = row
            if on_row:
                on_row(row, len(finished), len(matrix))
    finally:
        if client is None:
            connection.close()
    rows = tuple(finished[variant.digest] for variant in matrix if variant.digest in finished)
    return Campaign(folder=place, rows=rows, total=len(matrix))


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


def _matrix(
    subjects: Sequence[str],
    backgrounds: Sequence[str],
    scenes: Sequence[str],
    territories: Sequence[str],
    purpose: str,
    channel: str,
    options: Mapping[str, Any],
) -> list[Variant]:
    """Every combination, each checked; the same combination twice is one row."""
    if not (subjects and scenes and territories):
        raise InputError("a campaign needs at least one subject, one scene and one territory")
    behind: Sequence[str | None] = backgrounds or [None]
    rows = [
        Variant(
            subject=subject,
            background=background,
            scene=scene,
            purpose=purpose,
            territory=territory,
            channel=channel,
            options={name: value for name, value in options.items() if value is not None},
        )
        for subject, background, scene, territory in itertools.product(subjects, behind, scenes, territories)
    ]
    for row in rows:
        placeholders = {name: concept_of(reference) for name, reference in row.concepts.items()}
        parse_scene(row.scene, placeholders)
        parse_layout(row.options.get("layout", {}), placeholders)
    return list({row.digest: row for row in rows}.values())


def _compose_row(variant: Variant, folder: Path, profile: Profile, client: Client, clock: Clock) -> VariantRow:
    asked: dict[str, Any] = {name: getattr(variant, name) for name in ("purpose", "territory", "channel")}
    asked |= variant.options
    try:
        composed = compose(variant.concepts, variant.scene, **asked, profile=profile, client=client, clock=clock)
    except (PolicyDenied, NotApproved) as exc:
        return VariantRow(variant=variant, outcome=Outcome.REFUSED, at=clock(), reason=exc.message)
    return VariantRow(
        variant=variant,
        outcome=Outcome.COMPOSED,
        at=clock(),
        images=_save(variant, folder, composed),
        versions=tuple(version.name for version in composed.versions),
        generation=composed.generation_id,
        receipt=composed.receipt,
    )


def _save(variant: Variant, folder: Path, composed: Composition) -> tuple[SavedImage, ...]:
    saved = []
    for index, image in enumerate(composed.images):
        name = f"{variant.digest.hex[:16]}-{index}.png"
        image.save(folder / name)
        saved.append(SavedImage(file=name, digest=image.digest))
    return tuple(saved)


def _stands(folder: Path, row: VariantRow) -> bool:
    """Whether a row is composed and its files are the ones that were recorded."""
    return row.outcome is Outcome.COMPOSED and all(
        (folder / image.file).is_file() and Digest.of((folder / image.file).read_bytes()) == image.digest
        for image in row.images
    )


def _append(folder: Path, row: VariantRow) -> None:
    with open(folder / MANIFEST_FILE, "ab") as file:
        file.write(encode_canonical(row) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _open_folder(folder: Path) -> Path:
    """Make the folder, and take a half-written last line off its manifest."""
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
