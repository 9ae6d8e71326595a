"""`sdk.variants`: a matrix of subjects, backgrounds, scenes and territories, composed row by row.

Every row is an ordinary governed compose call: its own decision, record, receipt and credentials. What is finished
stands in `manifest.jsonl` beside the images, one line a row, appended and flushed before the next row begins. So a
campaign that was stopped goes on where it stopped, with the call that was cut off, and rows that were refused are asked again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sdk.client import Client
from sdk.compose.call import compose, utc_now
from sdk.compose.options import check_fee, check_options, check_use, check_whole
from sdk.compose.rows import (
    Campaign,
    Outcome,
    SavedImage,
    Variant,
    VariantRow,
    append_row,
    begin,
    begun_before,
    open_folder,
    read_manifest,
    stands,
)
from sdk.compose.values import Clock, Composition
from sdk.errors import Conflict, InputError, NotApproved, PermissionDenied, PolicyDenied
from sdk.generate.places import GivenPlace, mask_picture, parse_place
from sdk.generate.scene import concept_of, parse_scene
from sdk.profile import Profile, load_profile
from sdk.spec.sampling import MAX_SEED, Mask

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
    scheduler: str = "ddim",
    negative_prompt: str | None = None,
    size: tuple[int, int] | None = None,
    layout: Mapping[str, GivenPlace] | None = None,
    leakage: float = 1.0,
    fee: tuple[str, str] | None = None,
    profile: Profile | Path | str | None = None,
    client: Client | None = None,
    on_row: OnRow | None = None,
    clock: Clock = utc_now,
) -> Campaign:
    """Compose every combination into `folder`; what is finished there is not composed again.

    Scenes speak of `{subject}` and `{background}`; without backgrounds, of `{subject}` alone. `limit` composes at most
    so many rows in this call: a batch, new rows before refused ones. `fee` is what is charged for each row. Masks of
    `layout` are read once, and named in the manifest by their digest. The other options are those of `sdk.compose`.

    Raises:
        InputError, SceneError, FormatError: an option, a scene, a concept or a use cannot be used; raised before
            anything is composed.
        Everything that `sdk.compose` raises but a refusal, which is a row. What is finished stays finished.
    """
    options: dict[str, Any] = {"count": count, "seed": seed, "steps": steps, "guidance": guidance, "size": size}
    places, named = _read_places(layout)
    options |= {"scheduler": scheduler, "negative_prompt": negative_prompt, "layout": named, "leakage": leakage}
    if limit is not None:
        check_whole("limit", limit, 1, MAX_SEED)
    for territory in territories:
        check_use(purpose, territory, channel)
    check_fee(fee)
    matrix = _matrix(subjects, backgrounds, scenes, territories, purpose, channel, options, places)
    place = open_folder(Path(folder))
    decided = {row.variant.digest: row for row in read_manifest(place) if stands(place, row)}
    refused = {digest for digest, row in decided.items() if row.outcome is Outcome.REFUSED}
    new = [variant for variant in matrix if variant.digest not in decided]
    waiting = [*new, *(variant for variant in matrix if variant.digest in refused)][:limit]
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    for variant in waiting:
        row = _compose_row(variant, place, {"layout": places, "fee": fee}, chosen, client, clock)
        append_row(place, row)
        decided[variant.digest] = row
        if on_row:
            on_row(row, sum(variant.digest in decided for variant in matrix), len(matrix))
    rows = tuple(decided[variant.digest] for variant in matrix if variant.digest in decided)
    return Campaign(folder=place, rows=rows, total=len(matrix))


def _matrix(
    subjects: Sequence[str],
    backgrounds: Sequence[str],
    scenes: Sequence[str],
    territories: Sequence[str],
    purpose: str,
    channel: str,
    options: Mapping[str, Any],
    places: Mapping[str, GivenPlace] | None,
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
        check_options(placeholders, **row.options | {"layout": places})
    return list({row.digest: row for row in rows}.values())


def _read_places(
    layout: Mapping[str, GivenPlace] | None,
) -> tuple[dict[str, GivenPlace] | None, dict[str, Any] | None]:
    """The places as calls are given them, and as the manifest names them: boxes as they are, masks by digest."""
    if layout is None:
        return None, None
    given, named = dict(layout), dict[str, Any](layout)
    for name, place in layout.items():
        read = parse_place(name, place)
        if isinstance(read, Mask):
            given[name], named[name] = mask_picture(read), {"mask": str(read.digest)}
    return given, named


def _compose_row(
    variant: Variant, folder: Path, more: Mapping[str, Any], profile: Profile, client: Client | None, clock: Clock
) -> VariantRow:
    asked: dict[str, Any] = {name: getattr(variant, name) for name in ("purpose", "territory", "channel")}
    asked |= {**variant.options, **more, "profile": profile, "client": client, "clock": clock}
    try:
        composed = _compose(variant, folder, asked)
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


def _compose(variant: Variant, folder: Path, asked: Mapping[str, Any]) -> Composition:
    """Under the key of a call for this row that was cut off, while that is good: its images are counted once."""
    clock: Clock = asked["clock"]
    if key := begun_before(folder, variant.digest, clock()):
        with suppress(Conflict, PermissionDenied):  # it has a result, which is final, or its grant has expired
            return compose(variant.concepts, variant.scene, **asked, idempotency_key=key)
    return compose(variant.concepts, variant.scene, **asked, idempotency_key=begin(folder, variant.digest, clock()))


def _save(variant: Variant, folder: Path, composed: Composition) -> tuple[SavedImage, ...]:
    saved = []
    for index, image in enumerate(composed.images):
        name = f"{variant.digest.hex[:16]}-{index}.png"
        image.save(folder / name)
        saved.append(SavedImage(file=name, digest=image.digest))
    return tuple(saved)
