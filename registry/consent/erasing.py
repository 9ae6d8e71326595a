"""What an erasure needs of consents: those about a person, the keys of their records, and what others rest on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import LargeBinary, select, type_coerce
from sqlalchemy.orm import Session

from registry.consent import subjects
from registry.consent.tables import (
    ConsentEventRow,
    ConsentRow,
    ConsentWithdrawalRow,
    LicenceRow,
    SubjectBindingRow,
)
from registry.personal import ERASED, is_sealed, wrapped_key_of
from registry.sealing import WrappedKey
from sdk.errors import Conflict
from sdk.spec.canonical import parse_json, parse_wire
from sdk.spec.consent_events import ConsentEvent
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.subjects import SubjectBinding
from sdk.spec.terms import ConsentRecord, LicenceGrant
from sdk.spec.texts import Pseudonym


@dataclass(frozen=True, kw_only=True)
class Erasable:
    """A consent's record, its digest, and the key that opens it."""

    record: ConsentRecord
    digest: Digest
    key: WrappedKey
    event_keys: tuple[WrappedKey, ...]  # of what happened to it
    documents: frozenset[Digest]  # that the record and its events name


def claim_about(session: Session, tenant: TenantName, subject: Pseudonym) -> Mapping[RecordId, Erasable]:
    """Hold the consents about `subject` that are not erased yet, in the order of their ids; there may be none.

    Raises:
        Conflict: a record is from before records were sealed.
    """
    statement = (
        select(ConsentRow, type_coerce(ConsentRow.content, LargeBinary).label("stored"))
        .where(ConsentRow.tenant == tenant, ConsentRow.subject == subject)
        .order_by(ConsentRow.id)
        .with_for_update(key_share=True)
    )
    rows = [(row, stored) for row, stored in session.execute(statement).all() if row.content != ERASED]
    events = _events_of(session, [row.id for row, _ in rows])
    return {row.id: _erasable(row, stored, events.get(row.id, ())) for row, stored in rows}


def ended_of(session: Session, consents: Mapping[RecordId, Erasable]) -> frozenset[RecordId]:
    """Those of these consents that are withdrawn or refused, so that nothing is left to withdraw."""
    ended = ConsentWithdrawalRow.consent_id
    refused = select(ConsentEventRow.consent_id).where(
        ConsentEventRow.consent_id.in_(consents.keys()), ConsentEventRow.event == ConsentEvent.REFUSE.value
    )
    found = {*session.scalars(select(ended).where(ended.in_(consents.keys()))), *session.scalars(refused)}
    return frozenset(found | {consent for consent, erasable in consents.items() if erasable.record.refused})


def documents_of_bindings(session: Session, tenant: TenantName, subject: Pseudonym) -> frozenset[Digest]:
    """The documents by which principals speak, or ever spoke, for the person."""
    return frozenset(document for pseudonym, document in _named_by_bindings(session, tenant) if pseudonym == subject)


def documents_of_others(
    session: Session, tenant: TenantName, subject: Pseudonym, consents: Collection[RecordId]
) -> frozenset[Digest]:
    """The documents that licences name, consents other than these, and bindings to other persons who have a consent or are spoken for."""
    columns = select(ConsentRow.id, ConsentRow.content)
    others = session.execute(columns.where(ConsentRow.tenant == tenant, ConsentRow.id.not_in(consents))).all()
    records = {
        other.id: parse_wire(ConsentRecord, other.content, f"consent {other.id}")
        for other in others
        if other.content != ERASED
    }
    present = {record.subject for record in records.values()} | subjects.bound_now(session, tenant)
    named = {each for record in records.values() for each in (record.evidence.document, record.notice_document)}
    named |= {_document_of(content) for told in _events_of(session, records.keys()).values() for content, _ in told}
    named |= set(_named_by_licences(session, tenant))
    bound = _named_by_bindings(session, tenant)
    named |= {document for pseudonym, document in bound if pseudonym in present - {subject}}
    return frozenset(document for document in named if document)


def _named_by_licences(session: Session, tenant: TenantName) -> Iterator[Digest]:
    for content in session.scalars(select(LicenceRow.content).where(LicenceRow.tenant == tenant)):
        grant = parse_wire(LicenceGrant, content, "licence")
        yield from (evidence.document for evidence in (grant.evidence, grant.authority) if evidence)


def _named_by_bindings(session: Session, tenant: TenantName) -> Iterator[tuple[Pseudonym, Digest]]:
    """Whom each binding is to, and the document that it names; of those that ended too."""
    rows = select(SubjectBindingRow.content).where(SubjectBindingRow.tenant == tenant, SubjectBindingRow.bound)
    for content in session.scalars(rows):
        binding = parse_wire(SubjectBinding, content, "binding")
        if binding.evidence:
            yield binding.pseudonym, binding.evidence.document


def _events_of(session: Session, consents: Collection[RecordId]) -> Mapping[RecordId, Sequence[tuple[bytes, bytes]]]:
    """What reports and answers of these consents say, each as it is read and as it lies in the database."""
    stored = type_coerce(ConsentEventRow.content, LargeBinary).label("stored")
    statement = select(ConsentEventRow.consent_id, ConsentEventRow.content, stored).where(
        ConsentEventRow.consent_id.in_(consents), ConsentEventRow.content.is_not(None)
    )
    found: dict[RecordId, list[tuple[bytes, bytes]]] = {}
    for consent, content, sealed in session.execute(statement.order_by(ConsentEventRow.place)).all():
        if content is not None and content != ERASED:
            found.setdefault(consent, []).append((content, sealed))
    return found


def _document_of(content: bytes) -> Digest | None:
    """The document that a report or answer names."""
    named = parse_json(content, "event of a consent").get("evidence")
    return Digest(named["document"]) if named else None


def _erasable(row: ConsentRow, stored: bytes, events: Sequence[tuple[bytes, bytes]]) -> Erasable:
    if not is_sealed(stored):
        raise Conflict(
            f"consent {row.id} is from before records were sealed, so every backup shows it; run "
            "'imprimatur registry seal' first, and destroy the backups from before"
        )
    record = parse_wire(ConsentRecord, row.content, f"consent {row.id}")
    named = [_document_of(content) for content, _ in events]
    return Erasable(
        record=record,
        digest=row.digest,
        key=wrapped_key_of(stored),
        event_keys=tuple(wrapped_key_of(sealed) for _, sealed in events),
        documents=frozenset({record.evidence.document, *filter(None, named)}),
    )
