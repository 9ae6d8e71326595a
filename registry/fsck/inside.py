"""What rows of evidence must be by themselves and beside the rows that belong to them: one function a table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import LargeBinary, func, select, type_coerce
from sqlalchemy.orm import Session

from registry.approvals.tables import ReviewRow, RevocationRow, Verdict
from registry.consent.tables import ConsentEventRow, ConsentRow, LicenceRow, SubjectBindingRow
from registry.erasure.tables import ErasedKeyRow, ErasureRow
from registry.log.tables import LogEntryRow, StatementRow
from registry.personal import ERASED, wrapped_key_of
from registry.policies import PolicyBundleRow
from registry.reminders.tables import ReminderRow
from registry.reviews.tables import CommentRow
from registry.vault import vault_name
from registry.versions.history import renewals_of
from registry.versions.renewal_tables import RenewalReviewRow, RenewalRow, RenewedTermsRow
from registry.versions.tables import BreakGlassRow, ReviewRequestRow, VersionConsentRow, VersionRow
from registry.webhooks.tables import WebhookRow
from sdk.spec.canonical import parse_wire
from sdk.spec.consent_events import LOGGED_AS, ConsentAnswer, ConsentEvent, LifeEventReport
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope, parse_envelope
from sdk.spec.erasure import ErasurePredicate
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import AuditEventType, LogEntry
from sdk.spec.manifest import parse_manifest
from sdk.spec.reminders import ReminderKind
from sdk.spec.statements import ApprovalPredicate, parse_predicate, parse_statement, terms_digest
from sdk.spec.subjects import SubjectBinding, SubjectRelease
from sdk.spec.terms import ConsentRecord, LicenceGrant
from sdk.spec.webhooks import WebhookEventType


def envelope(content: bytes) -> Envelope:
    """The envelope in a row. Raises `ValueError` when it is not in the form that its digest is of."""
    parsed = parse_envelope(content)
    if encode_envelope(parsed) != content:
        raise ValueError("its envelope is not in canonical form")
    return parsed


def consent(session: Session, row: ConsentRow, entry: LogEntry) -> Iterator[str]:
    """Its id follows from its record; one that opens no more was erased by somebody."""
    if row.id != RecordId.derive("con", row.tenant, row.digest):
        yield "its id does not follow from its digest"
    if row.content == ERASED:
        stored = session.scalar(select(type_coerce(ConsentRow.content, LargeBinary)).where(ConsentRow.id == row.id))
        name = vault_name(wrapped_key_of(stored or b"").wrapped)
        if name is None or session.get(ErasedKeyRow, name) is None:
            yield "its key is missing from the vault, and nobody erased it"
        return
    if Digest.of(row.content) != row.digest:
        yield "its record has another digest"
    elif parse_wire(ConsentRecord, row.content, "its record").subject != row.subject:
        yield "its subject is not the one in its record"


def subject_binding(session: Session, row: SubjectBindingRow, entry: LogEntry) -> Iterator[str]:
    """It binds or ends a binding as its entry does, of whom its act names."""
    binds = entry.event is AuditEventType.SUBJECT_BOUND
    if row.bound is not binds:
        yield f"it says bound {row.bound}, and entry {row.log_index} of the log is {entry.event.value}"
    kind: type[SubjectBinding] | type[SubjectRelease] = SubjectBinding if binds else SubjectRelease
    act = parse_wire(kind, row.content, "its act")
    if (act.pseudonym, act.principal) != (row.pseudonym, row.principal):
        yield "its act is about somebody else"


def licence(session: Session, row: LicenceRow, entry: LogEntry) -> Iterator[str]:
    """Its id follows from its grant."""
    if row.id != RecordId.derive("lic", row.tenant, row.digest):
        yield "its id does not follow from its digest"
    if Digest.of(row.content) != row.digest:
        yield "its grant has another digest"
    parse_wire(LicenceGrant, row.content, "its grant")


def reminder(session: Session, row: ReminderRow, entry: LogEntry) -> Iterator[str]:
    """Its kind is one of those of its record."""
    of_licence = ReminderKind(row.kind) is ReminderKind.LICENCE_TERM
    if of_licence is not row.record_id.startswith("lic_"):
        yield f"it is of {row.kind}, which {row.record_id} has not"


def version(session: Session, row: VersionRow, entry: LogEntry) -> Iterator[str]:
    """Its manifest is its own, and names the consents that it rests on."""
    manifest = parse_manifest(row.manifest)
    if (manifest.digest, manifest.concept) != (row.manifest_digest, row.concept_id):
        yield "its manifest is another one"
    if row.tenant != row.concept_id.tenant:
        yield "its tenant is not its concept's"
    same = (VersionConsentRow.concept_id == row.concept_id, VersionConsentRow.number == row.number)
    renewed = [renewal.consents for renewal in renewals_of(session, row.concept_id, row.number)]
    if set(session.scalars(select(VersionConsentRow.consent_id).where(*same))) != set(manifest.consents).union(
        *renewed
    ):
        yield "the consents that it rests on are not those of its manifest and renewals"


def renewal(session: Session, row: RenewalRow, entry: LogEntry) -> Iterator[str]:
    """Its terms are those of the records that it names."""
    consents = [session.get(ConsentRow, RecordId(record)) for record in row.consents]
    licences = [session.get(LicenceRow, RecordId(record)) for record in row.licences]
    if terms_digest(tuple(held.digest for held in (*consents, *licences) if held)) != row.terms:
        yield "its terms are not those of the records that it names"


def renewal_review(session: Session, row: RenewalReviewRow, entry: LogEntry) -> Iterator[str]:
    """Like a review, and it is logged as its verdict."""
    yield from review(session, row, entry)
    asked = session.get(RenewalRow, (row.concept_id, row.number, row.round))
    if asked is None or asked.requested_by != row.requested_by:
        yield "somebody else asked for the renewal"
    if (entry.event is AuditEventType.RENEWAL_SIGNED) is not (Verdict(row.verdict) is Verdict.APPROVE):
        yield f"its entry of the log does not say {row.verdict}"


def renewed_terms(session: Session, row: RenewedTermsRow, entry: LogEntry) -> Iterator[str]:
    """They are those that were asked for."""
    asked = session.get(RenewalRow, (row.concept_id, row.number, row.round))
    if asked is None or entry.evidence.get("terms") != asked.terms:
        yield "its terms are not those that were asked for"


def review(session: Session, row: ReviewRow | RenewalReviewRow, entry: LogEntry) -> Iterator[str]:
    """Its version's owner and trainer are those it was signed against, and its envelope says its verdict."""
    version = session.get(VersionRow, (row.concept_id, row.number))
    if version is None or (version.owner, version.trainer_of_record) != (row.owner, row.trainer_of_record):
        yield "its version has another owner or trainer of record"
    signed = envelope(row.envelope)
    if signed.digest != row.envelope_digest:
        yield "its envelope has another digest"
    kind = parse_statement(signed.payload, signed.payload_type).predicate_type
    if (kind == ApprovalPredicate.predicate_type) is not (Verdict(row.verdict) is Verdict.APPROVE):
        yield f"its envelope does not say {row.verdict}"


def break_glass(session: Session, row: BreakGlassRow, entry: LogEntry) -> Iterator[str]:
    """Whose work its version is was no other when it was opened, and its envelope has its digest."""
    version = session.get(VersionRow, (row.concept_id, row.number))
    if version is None or (version.owner, version.trainer_of_record) != (row.owner, row.trainer_of_record):
        yield "its version has another owner or trainer of record"
    asked = session.get(ReviewRequestRow, (row.concept_id, row.number))
    if asked is None or asked.requested_by != row.requested_by:
        yield "somebody else asked for the review of its version"
    if envelope(row.envelope).digest != row.envelope_digest:
        yield "its envelope has another digest"


def revocation(session: Session, row: RevocationRow, entry: LogEntry) -> Iterator[str]:
    """Its envelope has its digest."""
    if envelope(row.envelope).digest != row.envelope_digest:
        yield "its envelope has another digest"


def comment(session: Session, row: CommentRow, entry: LogEntry) -> Iterator[str]:
    """Its content has its digest."""
    if Digest.of(row.content) != row.digest:
        yield "its content has another digest"


def erasure(session: Session, row: ErasureRow, entry: LogEntry) -> Iterator[str]:
    """Its certificate names as many keys as were destroyed."""
    certificate = envelope(row.certificate)
    said = parse_predicate(parse_statement(certificate.payload, certificate.payload_type), ErasurePredicate)
    keys = session.scalars(select(ErasedKeyRow.name).where(ErasedKeyRow.erasure_id == row.id)).all()
    if (said.erasure, said.erased_at, said.keys) != (row.id, row.erased_at, len(keys)):
        yield "its certificate says something else"


def consent_event(session: Session, row: ConsentEventRow, entry: LogEntry) -> Iterator[str]:
    """It is the event that was logged, and its content, unless it was erased, reads as such and has the entry's digest."""
    event = ConsentEvent(row.event)
    if entry.event is not LOGGED_AS[event]:
        yield f"it is {row.event}, its entry is {entry.event.value}"
    if row.content is None:
        if "act" in entry.evidence or event is not ConsentEvent.ASK:  # only the clock says nothing
            yield "its content is missing"
        return
    if row.content == ERASED:
        return
    if entry.evidence.get("act") != Digest.of(row.content):
        yield "its content has another digest than its entry names"
    if event is ConsentEvent.ASK:
        parse_wire(LifeEventReport, row.content, "its report")
    elif parse_wire(ConsentAnswer, row.content, "its answer").expressed_on != row.expressed_on:
        yield "it was expressed on another day than its answer says"


def review_request(session: Session, row: ReviewRequestRow, entry: LogEntry) -> Iterator[str]:
    """With the submission, whoever had it trained asked; later, whoever the entry names."""
    with_submission = entry.event is AuditEventType.VERSION_SUBMITTED
    by = entry.facts.get("trainer_of_record") if with_submission else entry.actor
    if row.requested_by != by:
        yield f"it was asked for by {by}"


def webhook(session: Session, row: WebhookRow, entry: LogEntry) -> Iterator[str]:
    """It has ended exactly if the log says so, and sends what was asked for then."""
    ended = select(func.count()).where(
        LogEntryRow.event == AuditEventType.WEBHOOK_ENDED.value, LogEntryRow.subject == row.id
    )
    if bool(session.scalar(ended)) is (row.ended_at is None):
        yield "it has ended, and the log does not say so" if row.ended_at else "the log says that it has ended"
    asked = entry.facts.get(
        "events", ""
    ).split()  # none where the entry is of something else, which is a finding by itself
    if sorted(row.events) != sorted(WebhookEventType(each).logged_as.value for each in asked):
        yield "it sends other events than were asked for"


def policy_bundle(session: Session, row: PolicyBundleRow, entry: LogEntry) -> Iterator[str]:
    """Its files have its digest."""
    if Digest.of(row.content) != row.digest:
        yield "its files have another digest"
    if row.since < entry.at - timedelta(minutes=1):  # later it may be: the first is from when bundles came to be kept
        yield f"it says {row.since}, its entry {entry.at}"


def statement(session: Session, row: StatementRow, entry: LogEntry) -> Iterator[str]:
    """It is about what its entry is about."""
    signed = envelope(row.envelope)
    about = parse_statement(signed.payload, signed.payload_type).subject[0].name
    if about != entry.subject:
        yield f"it is about {about}, its entry about {entry.subject}"
