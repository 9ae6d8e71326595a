"""Erasing the person behind a pseudonym. Rules:

1. One transaction withdraws their consents, ends who speaks for them and every version that rests on one of the consents, signs
   and logs the certificate, and names the keys to destroy. The keys are destroyed once it is committed, before anything is answered.
2. A crash in between leaves the names: `finish` destroys what is left, at every start of the service. So it does with
   keys that came back with a backup of the vault.
3. No document is destroyed that a licence, or somebody else's consent or binding, names; the certificate says what is kept
   and why.
4. A key is named and counted by the first erasure that meets it, under the lock of its row.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import erasing as consents
from registry.consent import subjects
from registry.consent.erasing import Erasable
from registry.erasure.certificate import sign_certificate
from registry.erasure.finding import Found, find
from registry.erasure.tables import ErasedKeyRow, ErasureRow
from registry.log import query as log_reading
from registry.log import service as log
from registry.paging import page_of
from registry.runtime import Runtime
from registry.vault import KeyName
from registry.versions import erasing as versions
from registry.versions.version import Version
from registry.versions.withdrawal import withdraw_consent
from sdk.errors import NotFound
from sdk.policy.engine import enforce
from sdk.spec.api import LogQuery
from sdk.spec.digest import Digest
from sdk.spec.envelope import parse_envelope
from sdk.spec.erasure import ErasureList, ErasureView, TrainingErasure
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.paging import PageQuery
from sdk.spec.policy import PolicyContext, PolicyDomain, Role
from sdk.spec.texts import Pseudonym

REASON: Final = "erased"
READERS: Final = (Role.OWNER, Role.AUDITOR, Role.TRAINING_SERVICE)  # the last erases what it holds by them


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What was committed, and what has to be destroyed now."""

    id: RecordId
    certificate: bytes
    log_index: int
    keys: tuple[KeyName, ...] = field(repr=False)
    blobs: tuple[Digest, ...] = field(repr=False)


def erase(session: Session, runtime: Runtime, caller: Caller, subject: Pseudonym) -> Erasure:
    """Erase everything about `subject` (rule 1); `destroy` what it returns once that is committed.

    Raises:
        PolicyDenied: policy does not let the caller erase.
        NotFound: no consent of the caller's tenant is about `subject` and nobody speaks for them, or they were erased before.
        Conflict: something is from before everything was sealed.
    """
    context = PolicyContext(
        domain=PolicyDomain.AUDIT_ACCESS,
        action="erase_subject",
        principal=caller.as_policy_principal,
        at=runtime.clock(),
    )
    enforce(runtime.policy, context)
    records = consents.claim_about(session, caller.tenant, subject)
    if not records and subject not in subjects.bound_now(session, caller.tenant):
        raise NotFound(f"{caller.tenant} has no record about that subject, or none that is not erased")
    resting = versions.claim_resting(session, caller.tenant, records.keys())
    identity = RecordId.derive("era", secrets.token_hex(32))
    found = find(session, caller.tenant, subject, records, resting)
    for consent in sorted(records.keys() - consents.ended_of(session, records)):
        withdraw_consent(session, runtime, caller, consent, REASON)
    subjects.release_all(session, runtime, caller, subject, REASON)
    for version in resting:
        versions.end(session, runtime, caller, version, identity)
    return _record(session, runtime, caller, identity, records, resting, found)


def destroy(runtime: Runtime, erasure: Erasure) -> None:
    """Destroy the keys of a committed erasure, and remove what they opened."""
    for name in erasure.keys:
        runtime.key_wrapper.destroy(name)
    for stored in erasure.blobs:
        runtime.blobs.remove(stored)


def finish(session: Session, runtime: Runtime) -> int:
    """Destroy the keys of every erasure that are there still, or again (rule 2); how many. As the database's owner."""
    names = session.scalars(select(ErasedKeyRow.name)).all()
    left = [name for name in names if runtime.key_wrapper.has(name)]
    for name in left:
        runtime.key_wrapper.destroy(name)
    return len(left)


def certificates(session: Session, caller: Caller, query: PageQuery) -> ErasureList:
    """A page of the certificates of the caller's tenant, oldest first. Raises `PermissionDenied`."""
    caller.require(*READERS)
    mine, order = select(ErasureRow).where(ErasureRow.tenant == caller.tenant), ErasureRow.log_index
    rows, cursor = page_of(session, mine, query, by=[order], key=lambda row: (row.log_index,), kinds=[int])
    return ErasureList(erasures=tuple(_view(session, row) for row in rows), next_cursor=cursor)


def confirm_training(
    session: Session, runtime: Runtime, caller: Caller, erasure: RecordId, jobs: Sequence[RecordId]
) -> ErasureView:
    """Log that a training service destroyed what it held of these jobs; those it said before are not logged again.

    Raises:
        PermissionDenied: the caller is no training service.
        NotFound: the caller's tenant has no such erasure.
    """
    caller.require(Role.TRAINING_SERVICE)
    row = session.scalar(
        select(ErasureRow).where(ErasureRow.id == erasure, ErasureRow.tenant == caller.tenant).with_for_update()
    )
    if row is None:
        raise NotFound(f"{caller.tenant} has no erasure {erasure}")
    known = {job for said in _view(session, row).training for job in said.jobs}
    if new := sorted(set(jobs) - known):
        log.append(
            session,
            runtime,
            event=AuditEventType.TRAINING_ERASED,
            actor=caller.principal,
            subject=erasure,
            evidence={"certificate": Digest.of(row.certificate)},
            facts={"jobs": " ".join(new)},
        )
    return _view(session, row)


def _view(session: Session, row: ErasureRow) -> ErasureView:
    asked = LogQuery(event=AuditEventType.TRAINING_ERASED, subject=row.id, limit=1000)
    said = tuple(
        TrainingErasure(
            jobs=tuple(RecordId(job) for job in logged.entry.facts["jobs"].split()),
            confirmed_by=logged.entry.actor,
            confirmed_at=logged.entry.at,
            log_index=logged.index,
        )
        for logged in log_reading.page(session, row.tenant, asked).entries
    )
    return ErasureView(id=row.id, certificate=parse_envelope(row.certificate), training=said)


def _record(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    identity: RecordId,
    records: Mapping[RecordId, Erasable],
    resting: Sequence[Version],
    found: Found,
) -> Erasure:
    now = runtime.clock()
    certificate = sign_certificate(runtime, caller, identity, records, resting, found, now)
    counts = {"consents": len(records), "versions": len(resting), "keys": len(found.keys)}
    index = log.append(
        session,
        runtime,
        event=AuditEventType.SUBJECT_ERASED,
        actor=caller.principal,
        subject=identity,
        evidence={"certificate": Digest.of(certificate)},
        facts={name: str(count) for name, count in counts.items()},
    )
    row = ErasureRow(
        id=identity,
        tenant=caller.tenant,
        certificate=certificate,
        erased_by=caller.principal,
        erased_at=now,
        log_index=index,
    )
    session.add(row)
    session.flush()
    session.add_all(ErasedKeyRow(name=name, erasure_id=identity) for name in found.keys)
    session.flush()
    return Erasure(
        id=identity,
        certificate=certificate,
        log_index=index,
        keys=(*found.keys, *found.named_before),  # whoever named them may not have come to destroying them
        blobs=tuple(found.blobs),
    )
