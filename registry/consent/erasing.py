"""What an erasure needs of consents: those about a person, the keys of their records, and what others rest on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import LargeBinary, select, type_coerce
from sqlalchemy.orm import Session

from registry.consent.tables import ConsentRow, ConsentWithdrawalRow, LicenceRow
from registry.personal import ERASED, is_sealed, wrapped_key_of
from registry.sealing import WrappedKey
from sdk.errors import Conflict, NotFound
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.terms import ConsentRecord, LicenceGrant, Pseudonym


@dataclass(frozen=True, kw_only=True)
class Erasable:
    """A consent's record, its digest, and the key that opens it."""

    record: ConsentRecord
    digest: Digest
    key: WrappedKey


def claim_about(session: Session, tenant: TenantName, subject: Pseudonym) -> Mapping[RecordId, Erasable]:
    """Hold the consents about `subject` that are not erased yet, in the order of their ids.

    Raises:
        NotFound: there is none.
        Conflict: a record is from before records were sealed.
    """
    statement = (
        select(ConsentRow, type_coerce(ConsentRow.content, LargeBinary).label("stored"))
        .where(ConsentRow.tenant == tenant, ConsentRow.subject == subject)
        .order_by(ConsentRow.id)
        .with_for_update(key_share=True)
    )
    rows = [(row, stored) for row, stored in session.execute(statement).all() if row.content != ERASED]
    if not rows:
        raise NotFound(f"{tenant} has no consent about that subject, or none that is not erased")
    return {row.id: _erasable(row, stored) for row, stored in rows}


def withdrawn_of(session: Session, consents: Iterable[RecordId]) -> frozenset[RecordId]:
    """Those of these consents that are withdrawn."""
    ended = ConsentWithdrawalRow.consent_id
    return frozenset(session.scalars(select(ended).where(ended.in_(set(consents)))))


def documents_of_others(session: Session, tenant: TenantName, consents: Collection[RecordId]) -> frozenset[Digest]:
    """The documents that licences name, and consents other than these."""
    others = select(ConsentRow.content).where(ConsentRow.tenant == tenant, ConsentRow.id.not_in(consents))
    licences = select(LicenceRow.content).where(LicenceRow.tenant == tenant)
    held: Sequence[bytes] = [content for content in session.scalars(others) if content != ERASED]
    named = {parse_wire(ConsentRecord, content, "consent").evidence.document for content in held}
    granted = {parse_wire(LicenceGrant, content, "licence").evidence.document for content in session.scalars(licences)}
    return frozenset(named | granted)


def _erasable(row: ConsentRow, stored: bytes) -> Erasable:
    if not is_sealed(stored):
        raise Conflict(
            f"consent {row.id} is from before records were sealed, so every backup shows it; run "
            "'imprimatur registry seal' first, and destroy the backups from before"
        )
    record = parse_wire(ConsentRecord, row.content, f"consent {row.id}")
    return Erasable(record=record, digest=row.digest, key=wrapped_key_of(stored))
