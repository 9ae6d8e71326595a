"""A consent receipt as a person reads it: plain sentences, nothing left out, on any terminal or printer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sdk.spec.consent_events import ConsentEventView, ConsentReceipt
from sdk.spec.terms import ConsentRecord

_EVENTS = {
    "give": "consent was given",
    "refuse": "the answer was no",
    "ask": "it has to be confirmed anew",
    "re-confirm": "it was confirmed anew",
    "withdraw": "it was withdrawn",
    "expire": "its term ended",
}


def receipt_text(receipt: ConsentReceipt) -> str:
    """The receipt, as lines of text."""
    lines = [
        f"CONSENT RECEIPT {receipt.id}",
        f"Issued {receipt.issued_at:%Y-%m-%d %H:%M} UTC by {receipt.issued_by}, after {receipt.standard}.",
        f"This consent is now: {receipt.status.value}.",
        "",
        *_facts(_members(receipt.record)),
        "",
        "What happened",
        *(line for event in receipt.events for line in _event(event)),
        "",
        f"To withdraw: {receipt.record.withdrawal_method}",
        f"or, with a credential of your own: imprimatur consent withdraw {receipt.id}",
        "",
        f"Digest of the record: {receipt.digest}",
        "The file of this receipt holds the proofs that each event is in the audit log; keep it.",
    ]
    return "\n".join(lines) + "\n"


def _members(record: ConsentRecord) -> dict[str, str]:
    terms = record.terms
    shown = {
        "About": f"{record.subject} ({record.age_class.value})",
        "Vital status": _or_none(record.vital_status),
        "Died on": _or_none(record.died_on),
        "Of age on": _or_none(record.of_age_on),
        "Given by": f"{record.expressed_by}, as {record.expressed_as.value}, on {record.expressed_on}",
        "Given through": _or_none(record.expressed_through),
        "Advised by": _or_none(record.represented_by),
        "To": record.controller,
        "Contact": _or_none(record.controller_contact),
        "Covers": _listed(record.covers),
        "For": _listed(terms.purposes),
        "Where": _listed(terms.territories),
        "On": _listed(terms.channels),
        "Media": _listed(terms.media or ()),
        "From, until": f"{terms.valid_from:%Y-%m-%d} to {terms.valid_until:%Y-%m-%d}",
        "Personal data": _listed(record.personal_data or ()),
        "Recipients": _listed(record.recipients or ()),
        "Stored in": _listed(record.stored_in or ()),
        "Kept until": _or_none(record.retained_until),
        "Legal basis": _or_none(record.legal_basis),
        "Law": _or_none(record.jurisdiction),
        "Notice": f"{record.notice} ({record.notice_language})",
        "Notice shown": _or_none(record.notice_document),
        "Written in": f"{record.evidence.document}, page {record.evidence.page}, {record.evidence.clause}",
    }
    return {name: text for name, text in shown.items() if text}


def _event(event: ConsentEventView) -> Sequence[str]:
    by = f", recorded by {event.recorded_by}" if event.recorded_by else ""
    entry = f", log entry {event.receipt.index}" if event.receipt else ""
    lines = [f"  {event.at:%Y-%m-%d %H:%M} UTC  {_EVENTS[event.event.value]}{by}{entry}"]
    if event.life_event:
        lines.append(f"    because of: {event.life_event.event.value}, {event.life_event.happened_on}")
    if event.answer:
        answer = event.answer
        lines.append(f"    by {answer.expressed_by}, as {answer.expressed_as.value}, on {answer.expressed_on}")
    if event.reason:
        lines.append(f"    reason: {event.reason}")
    return lines


def _facts(members: dict[str, str]) -> Iterable[str]:
    return (f"  {name:<14}{text}" for name, text in members.items())


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _or_none(value: object | None) -> str:
    return "" if value is None else str(value)
