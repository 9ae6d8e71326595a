"""Consents and licences as evidence: with their exact bytes, and a consent's status at a moment.

Whoever decides on what is read here holds it first (`registry.consent.service`, rule 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from registry.consent.history import HAPPENED, read_happened
from registry.consent.lifecycle import Happened, confirmed_on, status_at
from registry.consent.tables import ConsentRow
from registry.db import TextOf
from registry.personal import ERASED, SealedRecord
from sdk.errors import Erased, NotFound, ServiceError
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.terms import ConsentEvidence, ConsentRecord, LicenceEvidence, LicenceGrant

_RECORDS: Final = text(f"""
    SELECT id, tenant, digest, content, {HAPPENED} AS happened, NULL AS licence
      FROM consents WHERE id = ANY(:consents)
     UNION ALL
    SELECT id, tenant, digest, NULL, NULL, content
      FROM licences WHERE id = ANY(:licences)
""").columns(id=TextOf(RecordId), digest=TextOf(Digest), content=SealedRecord(), happened=JSONB())  # noqa: S608 - of this code


def consents_of(
    session: Session, tenant: TenantName, ids: Sequence[RecordId], at: datetime
) -> tuple[ConsentEvidence, ...]:
    """These consents with their status at the moment `at`, in the order asked for.

    Raises:
        NotFound: one of them is not there.
        Erased, ServiceError: like `evidence_of`.
    """
    found, _ = _records(session, tenant, ids, ())
    return tuple(evidence_of(row, read_happened(row.happened), at) for row in found)


def licences_of(session: Session, tenant: TenantName, ids: Sequence[RecordId]) -> tuple[LicenceEvidence, ...]:
    """These licences, in the order asked for. Raises `NotFound`."""
    _, found = _records(session, tenant, (), ids)
    return tuple(_licence(row) for row in found)


def not_erased(
    session: Session, tenant: TenantName, consents: Sequence[RecordId], licences: Sequence[RecordId], at: datetime
) -> tuple[tuple[ConsentEvidence, ...], tuple[LicenceEvidence, ...]]:
    """These consents, without those that were erased, and these licences, by one statement. Raises like `consents_of`."""
    found, granted = _records(session, tenant, consents, licences)
    there = (row for row in found if row.content != ERASED)
    given = tuple(evidence_of(row, read_happened(row.happened), at) for row in there)
    return given, tuple(_licence(row) for row in granted)


def evidence_of(row: ConsentRow | Row[Any], events: Sequence[Happened], at: datetime) -> ConsentEvidence:
    """A consent as a verifier meets it at the moment `at`.

    Raises:
        Erased: its key was destroyed.
        ServiceError: what is stored is not what was recorded.
    """
    if row.content == ERASED:
        raise Erased(f"consent {row.id} was erased; its record can be read no more")
    if Digest.of(row.content) != row.digest:
        raise ServiceError(f"the record of consent {row.id} was exchanged or damaged; restore it from a backup")
    record = parse_wire(ConsentRecord, row.content, f"consent {row.id}")
    return ConsentEvidence(
        id=row.id,
        digest=row.digest,
        record=record,
        status=status_at(record, events, at),
        confirmed_on=confirmed_on(events),
    )


def no_consent(tenant: TenantName, consent: RecordId) -> NotFound:
    """That the tenant has no such consent."""
    return NotFound(f"{tenant} has no consent {consent}; record it first, or correct its id")


def _records(
    session: Session, tenant: TenantName, consents: Sequence[RecordId], licences: Sequence[RecordId]
) -> tuple[list[Row[Any]], list[Row[Any]]]:
    """The rows of these consents and of these licences, in the order asked for."""
    rows = session.execute(_RECORDS, {"consents": list(consents), "licences": list(licences)}).all()
    found = {row.id: row for row in rows if row.tenant == tenant}
    for consent in consents:
        if consent not in found:
            raise no_consent(tenant, consent)
    for licence in licences:
        if licence not in found:
            raise NotFound(f"{tenant} has no licence {licence}; record it first, or correct its id")
    return [found[consent] for consent in consents], [found[licence] for licence in licences]


def _licence(row: Row[Any]) -> LicenceEvidence:
    return LicenceEvidence(id=row.id, digest=row.digest, grant=_grant_of(row.licence, row.id))


@lru_cache(maxsize=256)
def _grant_of(content: bytes, licence: RecordId) -> LicenceGrant:
    """The grant with these bytes, read once: they never change."""
    return parse_wire(LicenceGrant, content, f"licence {licence}")
