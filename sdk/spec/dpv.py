"""A consent receipt in the W3C Data Privacy Vocabulary: JSON-LD after the DPV guide to ISO/IEC TS 27560.

Profile `dpv-27560:receipt-record`: a receipt that carries the whole record. Terms are those of DPV 2 and DCMI; what DPV
has no term for is under `imp:`. A record of an earlier release lacks fields that the standard asks for: they are left out,
never invented, and `missing_fields` names them.
"""

from __future__ import annotations

from typing import Any, Final

from sdk.spec.consent_events import ConsentEvent, ConsentEventView, ConsentReceipt
from sdk.spec.terms import WORLD, AgeClass, ConsentRecord, ConsentStatus, LegalBasis, UseTerms

PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#receipt-record"
_PREFIXES: Final = {
    "dpv": "https://w3id.org/dpv#",
    "loc": "https://w3id.org/dpv/loc#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "imp": "https://imprimatur.dev/ns/dpv#",
}
STATUSES: Final = {
    ConsentStatus.REQUESTED: "dpv:ConsentRequested",
    ConsentStatus.GIVEN: "dpv:ConsentGiven",
    ConsentStatus.REFUSED: "dpv:ConsentRefused",
    ConsentStatus.RECONFIRMATION_DUE: "dpv:ConsentRequested",
    ConsentStatus.WITHDRAWN: "dpv:ConsentWithdrawn",
    ConsentStatus.EXPIRED: "dpv:ConsentExpired",
}
_BASES: Final = {
    LegalBasis.CONSENT: "eu-gdpr:A6-1-a",
    LegalBasis.EXPLICIT_CONSENT: "eu-gdpr:A9-2-a",
    LegalBasis.CONTRACT: "eu-gdpr:A6-1-b",
}
_MANDATORY: Final = ("legal_basis", "jurisdiction", "personal_data", "recipients", "stored_in", "retained_until")
Json = dict[str, Any]


def receipt_to_dpv(receipt: ConsentReceipt) -> Json:
    """The receipt as a `dpv:ConsentReceipt` that carries the whole `dpv:ConsentRecord`."""
    return {
        "@context": _PREFIXES,
        "@id": f"urn:imprimatur:receipt:{receipt.id}",
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": [{"@id": PROFILE}, receipt.standard],
        "dct:identifier": f"{receipt.id}/{_moment(receipt)['@value']}",
        "dct:issued": _moment(receipt),
        "dct:publisher": receipt.issued_by,
        "dct:hasPart": _record(receipt),
    }


def missing_fields(record: ConsentRecord) -> tuple[str, ...]:
    """The fields that the standard makes mandatory and that the record does not state."""
    return tuple(name for name in _MANDATORY if getattr(record, name) is None)


def _record(receipt: ConsentReceipt) -> Json:
    record = receipt.record
    return _without_nothing(
        {
            "@id": f"urn:imprimatur:consent:{receipt.id}",
            "@type": "dpv:ConsentRecord",
            "dct:conformsTo": receipt.standard,
            "dct:identifier": receipt.id,
            "dct:source": f"urn:{receipt.digest}",
            "dpv:hasDataSubject": _subject(record),
            "dpv:hasDataController": _controller(record),
            "dpv:hasNotice": _notice(record),
            "dpv:hasProcess": _process(record),
            "dpv:hasLegalBasis": {"@id": _BASES[record.legal_basis]} if record.legal_basis else None,
            "dpv:hasJurisdiction": record.jurisdiction,
            "dpv:hasConsentControl": {"@type": "dpv:WithdrawConsent", "dct:description": record.withdrawal_method},
            "dpv:hasConsentStatus": {"@id": STATUSES[receipt.status]},
            "imp:event": [_event(receipt.record, event) for event in receipt.events],
        }
    )


def _subject(record: ConsentRecord) -> Json:
    kinds = {AgeClass.ADULT: "dpv:Adult", AgeClass.MINOR: "dpv:Child"}
    return _without_nothing(
        {
            "@type": kinds.get(record.age_class, "dpv:DataSubject"),
            "dct:identifier": record.subject,
            "imp:vitalStatus": record.vital_status.value if record.vital_status else None,
            "imp:ofAgeOn": str(record.of_age_on) if record.of_age_on else None,
        }
    )


def _controller(record: ConsentRecord) -> Json:
    named = {
        "@type": "dpv:DataController",
        "dpv:hasName": record.controller,
        "dpv:hasContact": record.controller_contact,
    }
    return _without_nothing(named)


def _notice(record: ConsentRecord) -> Json:
    shown = f"urn:{record.notice_document}" if record.notice_document else None
    notice = {"@type": "dpv:ConsentNotice", "dct:source": record.notice, "dct:language": record.notice_language}
    return _without_nothing({**notice, "dct:identifier": shown})


def _process(record: ConsentRecord) -> Json:
    terms = record.terms
    return _without_nothing(
        {
            "@type": "dpv:Process",
            "dpv:hasPurpose": [{"@id": f"imp:purpose-{name}", "@type": "dpv:Purpose"} for name in terms.purposes],
            "dpv:hasProcessing": [{"@id": "dpv:Use"}, {"@id": "dpv:Derive"}],
            "dpv:hasPersonalData": [
                {"@id": f"imp:data-{name}", "@type": "dpv:PersonalData"} for name in record.personal_data or ()
            ],
            "dpv:hasLocation": _places(terms.territories),
            "dpv:hasDuration": _duration(terms),
            "dpv:hasRecipient": [{"@type": "dpv:Recipient", "dpv:hasName": name} for name in record.recipients or ()],
            "dpv:hasStorageCondition": _storage(record),
            "imp:channel": list(terms.channels),
            "imp:medium": [medium.value for medium in terms.media or ()],
            "imp:concept": list(record.covers),
        }
    )


def _storage(record: ConsentRecord) -> Json:
    until = {"@value": str(record.retained_until), "@type": "xsd:date"} if record.retained_until else None
    places = _places(record.stored_in or ())
    duration = {"@type": "dpv:UntilTimeDuration", "dct:valid": until} if until else None
    stored = _without_nothing({"dpv:hasLocation": places, "dpv:hasDuration": duration})
    return {"@type": "dpv:StorageCondition", **stored} if stored else {}


def _duration(terms: UseTerms) -> Json:
    moments = {"dct:available": terms.valid_from, "dct:valid": terms.valid_until}
    members = {
        name: {"@value": moment.isoformat().replace("+00:00", "Z"), "@type": "xsd:dateTime"}
        for name, moment in moments.items()
    }
    return {"@type": "dpv:UntilTimeDuration", **members}


def _places(places: tuple[str, ...]) -> list[Json]:
    return [{"@id": "imp:world" if place == WORLD else f"loc:{place}"} for place in places]


def _event(record: ConsentRecord, event: ConsentEventView) -> Json:
    """One consent event: its type and state, when, expressed by which entity, by which method."""
    answer = event.answer
    given = event.event in (ConsentEvent.GIVE, ConsentEvent.REFUSE) and answer is None
    through = record.expressed_through if given else answer.expressed_through if answer else None
    by = record.expressed_by if given else answer.expressed_by if answer else event.recorded_by
    return _without_nothing(
        {
            "@type": "dpv:Consent",
            "imp:eventType": event.event.value,
            "dpv:hasConsentStatus": {"@id": _state_of(event)},
            "dct:date": {"@value": event.at.isoformat().replace("+00:00", "Z"), "@type": "xsd:dateTime"},
            "dpv:isIndicatedBy": by,
            "dpv:hasIndicationMethod": through.value if through else None,
            "imp:logEntry": event.receipt.index if event.receipt else None,
        }
    )


def _state_of(event: ConsentEventView) -> str:
    return "dpv:RenewedConsentGiven" if event.event is ConsentEvent.RECONFIRM else STATUSES[event.status]


def _moment(receipt: ConsentReceipt) -> Json:
    return {"@value": receipt.issued_at.isoformat().replace("+00:00", "Z"), "@type": "xsd:dateTime"}


def _without_nothing(members: Json) -> Json:
    return {name: value for name, value in members.items() if value not in (None, [], {})}
