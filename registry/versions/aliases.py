"""Setting aliases: all that a request names, or none. What an alias named before is in `history`.

The checks, in order:
1. The caller owns or reviews for its tenant; no alias is named twice.
2. The concepts are there and are held, in the order of their names, so that a concept's aliases change one at a time.
3. Each alias names what the caller expected, where it expected something: compare and swap.
4. Each version to be named is approved at this moment; it is held, so that it stays so until this is committed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.concepts import service as concepts
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.history import alias_now, view_of
from registry.versions.tables import AliasRow
from registry.versions.version import Version
from sdk.errors import Conflict, InputError, NotApproved, NotFound
from sdk.spec.api import AliasChange, AliasChanges, AliasView
from sdk.spec.bundle import VersionStatus
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import AliasName, ConceptId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Role

_Name = tuple[ConceptId, AliasName]


def set_aliases(session: Session, runtime: Runtime, caller: Caller, request: AliasChanges) -> tuple[AliasView, ...]:
    """Make every change of `request`, each with its entry in the log.

    Raises:
        PermissionDenied, InputError, NotFound: check 1 or 2 fails.
        Conflict: an alias names something else than expected; it is told what.
        NotApproved: a version to be named is not approved.
    """
    caller.require(Role.OWNER, Role.REVIEWER)  # 1
    _require_each_once(request)
    for concept in sorted({change.concept for change in request.changes}):  # 2
        concepts.lock(session, caller.tenant, concept)
    earlier = {_name(change): alias_now(session, change.concept, change.alias) for change in request.changes}
    for change in request.changes:
        _require_expected(change, earlier[_name(change)])  # 3
    versions = _hold_approved(session, runtime, caller, request)  # 4
    act = Digest.of(encode_canonical(request))
    rows = []
    for change in request.changes:
        version = versions.get((change.concept, change.number))
        rows.append(_set(session, runtime, caller, change, earlier[_name(change)], version, act))
    session.flush()
    return tuple(view_of(row) for row in rows)


def _name(change: AliasChange) -> _Name:
    return change.concept, change.alias


def _require_each_once(request: AliasChanges) -> None:
    names = [_name(change) for change in request.changes]
    for concept, alias in names:
        if names.count((concept, alias)) > 1:
            raise InputError(f"{concept}@{alias} is named twice; say once what it is to name")


def _require_expected(change: AliasChange, row: AliasRow | None) -> None:
    held = row.number or 0 if row else 0
    if change.expected is not None and change.expected != held:
        now = f"names version {held}" if held else "names no version"
        since = f" since {row.set_at:%Y-%m-%dT%H:%M:%SZ}, set by {row.set_by}" if row else ""
        raise Conflict(
            f"{change.concept}@{change.alias} {now}{since}, not {change.expected or 'none'} as expected; "
            "nothing was changed, look again"
        )
    if change.expected is None and not change.number and not held:
        raise NotFound(
            f"{change.concept}@{change.alias} names no version, so there is nothing to remove; see its history"
        )


def _hold_approved(
    session: Session, runtime: Runtime, caller: Caller, request: AliasChanges
) -> dict[tuple[ConceptId, int], Version]:
    wanted = {(change.concept, change.number) for change in request.changes if change.number}
    named = [service.load(session, caller.tenant, concept, number) for concept, number in sorted(wanted)]
    held = service.hold(session, named)
    now = runtime.clock()
    for version in held:
        status = version.status(service.terms_of(session, version, now))
        if status is not VersionStatus.APPROVED:
            raise NotApproved(
                f"{version.name} is {status.value}; an alias names approved versions only, and nothing was changed"
            )
    return {(version.concept, version.number): version for version in held}


def _set(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    change: AliasChange,
    earlier: AliasRow | None,
    version: Version | None,
    act: Digest,
) -> AliasRow:
    evidence = {"act": act} | ({"manifest": version.digest} if version else {})
    before = earlier.number or 0 if earlier else 0
    index = log.append(
        session,
        runtime,
        event=AuditEventType.ALIAS_SET,
        actor=caller.principal,
        subject=f"{change.concept}@{change.alias}",
        evidence=evidence,
        facts={"number": str(change.number), "before": str(before)},
    )
    row = AliasRow(
        concept_id=change.concept,
        alias=change.alias,
        place=earlier.place + 1 if earlier else 1,
        number=change.number or None,
        set_by=caller.principal,
        set_at=_not_before(runtime.clock(), earlier),
        log_index=index,
    )
    session.add(row)
    return row


def _not_before(now: datetime, earlier: AliasRow | None) -> datetime:
    return max(now, earlier.set_at) if earlier else now
