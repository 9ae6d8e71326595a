"""What the rows of each table of evidence must be: one `Evidence` a table, read as a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Final

from registry.approvals.tables import ReviewRow, RevocationRow
from registry.concepts.tables import ConceptRow
from registry.consent.tables import ConsentEventRow, ConsentRow, ConsentWithdrawalRow, LicenceRow, SubjectBindingRow
from registry.erasure.tables import ErasureRow
from registry.fsck import generations, inside
from registry.fsck.inside import envelope
from registry.fsck.rows import Evidence, version_of
from registry.generations.tables import ArtefactReleaseRow, GenerationResultRow, GenerationRow
from registry.log.tables import StatementRow
from registry.policies import PolicyBundleRow
from registry.recalls.tables import NoticeAcknowledgementRow, NoticeSentRow
from registry.reminders.tables import ReminderRow
from registry.reviews.tables import AssignmentRow, CommentRow
from registry.versions.renewal_tables import RenewalReviewRow, RenewalRow, RenewedTermsRow
from registry.versions.tables import AliasRow, BreakGlassRow, ReviewRequestRow, VersionRow
from registry.webhooks.tables import WebhookRow
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType as Event
from sdk.spec.recorded import STATEMENT
from sdk.spec.renewal import facts_of

CONSENT_EVENTS: Final = (
    *(Event.CONSENT_GIVEN, Event.CONSENT_REFUSED, Event.CONSENT_ASKED),
    *(Event.CONSENT_RECONFIRMED, Event.CONSENT_WITHDRAWN),
)

EVIDENCE: Final[Sequence[Evidence]] = (
    Evidence(
        table=ConceptRow,
        events=(Event.CONCEPT_CREATED,),
        subject="id",
        actor="owner",
        at="created_at",
        facts=lambda row: {"kind": row.kind},
    ),
    Evidence(
        table=ConsentRow,
        events=(Event.CONSENT_GIVEN, Event.CONSENT_REFUSED),
        subject="id",
        actor="recorded_by",
        at="recorded_at",
        digests=lambda row: {"record": row.digest},
        inside=inside.consent,
    ),
    Evidence(
        table=ConsentEventRow,
        placed_by=("consent_id",),
        events=(Event.CONSENT_ASKED, Event.CONSENT_RECONFIRMED, Event.CONSENT_REFUSED),
        subject="consent_id",
        actor="recorded_by",
        at="recorded_at",
        inside=inside.consent_event,
    ),
    Evidence(
        table=ConsentWithdrawalRow,
        events=(Event.CONSENT_WITHDRAWN,),
        subject="consent_id",
        actor="withdrawn_by",
        at="withdrawn_at",
    ),
    Evidence(
        table=LicenceRow,
        events=(Event.LICENCE_GRANTED,),
        subject="id",
        actor="recorded_by",
        at="recorded_at",
        digests=lambda row: {"record": row.digest},
        inside=inside.licence,
    ),
    Evidence(
        table=ReminderRow,
        events=(Event.TERM_ENDING,),
        subject="record_id",
        at="reminded_at",
        inside=inside.reminder,
    ),
    Evidence(
        table=SubjectBindingRow,
        placed_by=("tenant", "pseudonym", "principal"),
        events=(Event.SUBJECT_BOUND, Event.SUBJECT_RELEASED),
        subject="principal",
        actor="recorded_by",
        at="recorded_at",
        digests=lambda row: {"record": Digest.of(row.content)},
        inside=inside.subject_binding,
    ),
    Evidence(
        table=VersionRow,
        events=(Event.VERSION_SUBMITTED,),
        subject=version_of,
        actor="submitted_by",
        at="submitted_at",
        digests=lambda row: {"manifest": Digest.of(row.manifest), "attestation": envelope(row.attestation).digest},
        facts=lambda row: {
            "owner": row.owner,
            "trainer_of_record": row.trainer_of_record,
            "approvals_required": str(row.approvals_required),
        },
        inside=inside.version,
    ),
    Evidence(
        table=ReviewRequestRow,
        events=(Event.REVIEW_REQUESTED, Event.VERSION_SUBMITTED),
        others=(Event.VERSION_SUBMITTED,),  # of a draft: nobody has asked yet
        subject=version_of,
        at="requested_at",
        inside=inside.review_request,
    ),
    Evidence(
        table=AssignmentRow,
        placed_by=("concept_id", "number"),
        events=(Event.REVIEW_ASSIGNED,),
        subject=version_of,
        actor="assigned_by",
        at="assigned_at",
        facts=lambda row: {
            "reviewers": " ".join(row.reviewers),
            "due_at": row.due_at.isoformat(timespec="seconds") if row.due_at else None,
        },
    ),
    Evidence(
        table=ReviewRow,
        events=(Event.APPROVAL_SIGNED, Event.VERSION_REJECTED),
        others=(Event.VERSION_REJECTED,),  # an erasure rejects without a review
        subject=version_of,
        actor="reviewer",
        at="reviewed_at",
        digests=lambda row: {"envelope": envelope(row.envelope).digest},
        inside=inside.review,
    ),
    Evidence(
        table=BreakGlassRow,
        events=(Event.VERSION_BREAK_GLASS,),
        subject=version_of,
        actor="opened_by",
        at="opened_at",
        digests=lambda row: {"envelope": envelope(row.envelope).digest, "terms": row.terms},
        facts=lambda row: {
            "signers": f"{row.first_signer} {row.second_signer}",
            "expires_at": row.expires_at.astimezone(UTC).isoformat(),
        },
        inside=inside.break_glass,
    ),
    Evidence(
        table=RenewalRow,
        events=(Event.RENEWAL_REQUESTED,),
        subject=version_of,
        actor="requested_by",
        at="requested_at",
        digests=lambda row: {"terms": row.terms},
        facts=lambda row: (
            facts_of(row.round, row.consents, row.licences) | {"approvals_required": str(row.approvals_required)}
        ),
        inside=inside.renewal,
    ),
    Evidence(
        table=RenewalReviewRow,
        events=(Event.RENEWAL_SIGNED, Event.RENEWAL_REJECTED),
        subject=version_of,
        actor="reviewer",
        at="reviewed_at",
        digests=lambda row: {"envelope": envelope(row.envelope).digest},
        facts=lambda row: {"round": str(row.round)},
        inside=inside.renewal_review,
    ),
    Evidence(
        table=RenewedTermsRow,
        events=(Event.VERSION_RENEWED,),
        subject=version_of,
        actor="renewed_by",
        at="renewed_at",
        facts=lambda row: {"round": str(row.round), "since": row.since.isoformat()},
        inside=inside.renewed_terms,
    ),
    Evidence(
        table=RevocationRow,
        events=(Event.VERSION_REVOKED,),
        others=(Event.VERSION_REVOKED,),  # an erasure revokes without a statement
        subject=version_of,
        actor="revoked_by",
        at="revoked_at",
        digests=lambda row: {"envelope": envelope(row.envelope).digest},
        inside=inside.revocation,
    ),
    Evidence(
        table=CommentRow,
        events=(Event.REVIEW_COMMENTED,),
        subject=version_of,
        actor="author",
        at="written_at",
        digests=lambda row: {"comment": Digest.of(row.content)},
        inside=inside.comment,
    ),
    Evidence(
        table=AliasRow,
        placed_by=("concept_id", "alias"),
        events=(Event.ALIAS_SET,),
        subject=lambda row: f"{row.concept_id}@{row.alias}",
        actor="set_by",
        at="set_at",
        facts=lambda row: {"number": str(row.number or 0)},
    ),
    Evidence(table=NoticeSentRow, events=(Event.NOTICE_SENT,), subject=version_of, actor="application", at="at"),
    Evidence(
        table=NoticeAcknowledgementRow,
        events=(Event.NOTICE_ACKNOWLEDGED,),
        subject=version_of,
        actor="application",
        at="at",
    ),
    Evidence(
        table=GenerationRow,
        events=(Event.GENERATION_PERMITTED, Event.GENERATION_DENIED),
        subject="id",
        actor="application",
        at="decided_at",
        digests=lambda row: (
            {"intent": Digest.of(row.intent), "decision": Digest.of(row.decision), "context": Digest.of(row.context)}
            | ({"grant": Digest.of(row.compose_grant)} if row.compose_grant else {})
        ),
        inside=generations.generation,
    ),
    Evidence(
        table=GenerationResultRow,
        events=(Event.GENERATION_RECORDED,),
        subject="generation_id",
        at="recorded_at",
        seconds=1,  # accounts are kept by it
        digests=lambda row: {"result": Digest.of(row.content)},
        inside=generations.result,
    ),
    Evidence(
        table=ArtefactReleaseRow,
        events=(Event.ARTEFACT_RELEASED,),
        subject="generation_id",
        at="released_at",
        digests=lambda row: {"artefact": row.digest},
    ),
    Evidence(
        table=ErasureRow,
        events=(Event.SUBJECT_ERASED,),
        subject="id",
        actor="erased_by",
        at="erased_at",
        digests=lambda row: {"certificate": Digest.of(row.certificate)},
        inside=inside.erasure,
    ),
    Evidence(
        table=WebhookRow,
        events=(Event.WEBHOOK_CREATED,),
        subject="id",
        actor="created_by",
        at="created_at",
        digests=lambda row: {"url": Digest.of(f"{row.id}\n{row.url}".encode())},
        inside=inside.webhook,
    ),
    Evidence(
        table=PolicyBundleRow,
        placed_by=(),
        events=(Event.LOG_OPENED, Event.POLICY_CHANGED),
        others=(Event.LOG_OPENED, Event.POLICY_CHANGED),  # those from before bundles were kept have no row
        digests=lambda row: {"policy_bundle": row.digest},
        inside=inside.policy_bundle,
    ),
    Evidence(
        table=StatementRow,
        events=(*CONSENT_EVENTS, Event.VERSION_SUBMITTED),
        others=(*CONSENT_EVENTS, Event.VERSION_SUBMITTED),  # those that name one are held to it (`rows`)
        digests=lambda row: {STATEMENT: envelope(row.envelope).digest},
        inside=inside.statement,
    ),
)
