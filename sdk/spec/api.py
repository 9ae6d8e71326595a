"""HTTP bodies of the registry, and the map of its routes; the trainer's are in `training.py`,
credentials are in `access.py`.

The registry serves them, `sdk.client` speaks them.

Authentication is `Authorization: Bearer imp_...` everywhere but /healthz, /readyz, /v1/trust-root, /v1/tuf, status lists and the
log's checkpoint and tiles.
Lists take `cursor` and `limit` (`sdk.spec.paging`).
Errors are RFC 9457 problem documents (`Problem`) whose `code` is an error code of `sdk.errors`.

    GET   /healthz                                           Health
    GET   /readyz                                            Health, or 503 naming what cannot serve
    GET   /v1/trust-root                                     Envelope (of a TrustRoot)
    GET   /v1/whoami                                         WhoAmI
    PUT   /v1/blobs/{digest}                                 bytes -> 201, or 200 when already there
    GET   /v1/blobs/{digest}                                 bytes of a document (reviewer, owner, trainer, auditor)
    POST  /v1/consents                                       ConsentRecord -> RecordAccepted
    GET   /v1/consents?subject=&status=&as_of=&after=&limit= ConsentPage (of sdk.spec.subjects; a subject: about them)
    GET   /v1/consents/{id}?as_of=                           ConsentEvidence
    GET   /v1/consents/{id}/receipt                          ConsentReceipt (of sdk.spec.consent_events)
    GET   /v1/consents/{id}/export                           JSON-LD (Data Privacy Vocabulary)
    POST  /v1/consents/{id}/answers                          ConsentAnswer -> RecordAccepted
    POST  /v1/consents/{id}/reinstatement                    nothing -> VersionList (of what is approved again)
    POST  /v1/consents/{id}/withdrawal                       Withdrawal -> RecordAccepted
    POST  /v1/subjects                                       SubjectBinding -> SubjectAccepted
    POST  /v1/subjects/release                               SubjectRelease -> SubjectAccepted
    POST  /v1/subjects/life-events                           LifeEventReport -> LifeEventRecorded
    GET   /v1/subjects                                       SubjectList (a subject: their own)
    POST  /v1/erasures                                       ErasureRequest -> ErasureAccepted (of sdk.spec.erasure)
    GET   /v1/erasures                                       ErasureList
    POST  /v1/erasures/{id}/training                         TrainingErased -> ErasureView (by a training service)
    POST  /v1/licences                                       LicenceGrant -> RecordAccepted
    GET   /v1/licences/{id}                                  LicenceEvidence
    GET   /v1/licences/{id}/export                           JSON-LD (ODRL 2.2)
    POST  /v1/concepts                                       NewConcept -> ConceptView
    GET   /v1/concepts?as_of=                                ConceptList
    GET   /v1/concepts/{tenant}/{name}?as_of=                ConceptView
    POST  /v1/concepts/{tenant}/{name}/versions              VersionSubmission -> VersionView
    GET   /v1/concepts/{tenant}/{name}/versions              VersionList
    GET   /v1/concepts/{tenant}/{name}/versions/{number}?terms_at=   VersionBundle
    GET   /v1/concepts/{tenant}/{name}/versions/{number}/files/{digest}   bytes of a picture or report (reviewers)
    GET   /v1/resolve?ref=tenant/name@...                    VersionBundle
    GET   /v1/history?ref=tenant/name@...&at=                VersionAt
    POST  /v1/aliases                                        AliasChanges -> AliasesSet
    GET   /v1/aliases?concept=tenant/name&as_of=             AliasList
    GET   /v1/concepts/{tenant}/{name}/aliases/{alias}       AliasList (every meaning it had, oldest first)
    GET   /v1/reviews?reviewer=&overdue=&cursor=&limit=      ReviewQueue (of sdk.spec.review, as the next four)
    POST  /v1/concepts/{tenant}/{name}/versions/{number}/review-request  ReviewRequest -> ReviewTask
    POST  /v1/concepts/{tenant}/{name}/versions/{number}/assignment   Assignment -> ReviewTask
    POST  /v1/concepts/{tenant}/{name}/versions/{number}/comments     NewComment -> LoggedComment
    GET   /v1/concepts/{tenant}/{name}/versions/{number}/comments?after=&limit=   CommentList
    POST  /v1/concepts/{tenant}/{name}/versions/{number}/reviews      Envelope -> VersionView
    POST  /v1/concepts/{tenant}/{name}/versions/{number}/revocation   Envelope -> VersionView
    POST  /v1/generations?since=&meant=&terms=&release=           GenerationIntent -> GenerationGrant (of sdk.spec.opening: the query)
    GET   /v1/generations?concept=tenant/name                GenerationList
    GET   /v1/generations/decisions?since=&after=&limit=     DecisionPage
    GET   /v1/generations/licences/{id}                      LicenceCount
    GET   /v1/generations/usage?by=&since=&until=            UsageReport (of sdk.spec.usage)
    POST  /v1/generations/identify                           IdentifyQuery -> IdentifyAnswer (of sdk.spec.identify)
    GET   /v1/generations/{id}                               GenerationView
    GET   /v1/generations/{id}/artefacts/{digest}            bytes, to the grant's executor, before the result
    POST  /v1/generations/{id}/result?since=                 GenerationResult -> GrownReceipt (of sdk.spec.opening)
    GET   /v1/royalties?licence=&since=&until=               RoyaltyReport (of sdk.spec.royalty_report)
    GET   /v1/royalties/ledger?licence=&since=&until=&size=&after=    LedgerPage (of sdk.spec.ledger)
    GET   /v1/concepts/{tenant}/{name}/versions/{number}/blast-radius   Envelope (of a BlastRadiusPredicate of sdk.spec.recall)
    GET   /v1/notices?cursor=&limit=                         NoticeList (of sdk.spec.recall; to applications)
    POST  /v1/notices/acknowledgements                       NoticeAcknowledgement -> LogReceipt
    GET   /v1/denials?concept=&since=&until=&cursor=&limit=  DenialPage (of sdk.spec.denials; a subject: about theirs)
    POST  /v1/trainings/denied                               WantedTraining -> TrainingDenied (of sdk.spec.denials)
    GET   /v1/policies?as_of=&digest=                        PolicyBundleView
    GET   /v1/tuf/metadata/{name}                            TUF metadata: the trust root and policies as targets
    GET   /v1/tuf/targets/{name}                             a TUF target, named by its digest
    GET   /v1/status/{tenant}/{number}                       signed status list (sdk.spec.status_list)
    GET   /v1/log/checkpoint                                 signed note (C2SP tlog-tiles from here on)
    GET   /v1/log/checkpoint/witnessed                       signed note that a quorum of witnesses cosigned
    GET   /v1/log/tile/{level}/{index}                       hashes; partial tiles end in .p/{width}
    GET   /v1/log/tile/entries/{index}                       entry bundles
    GET   /v1/log/entries?event=&subject=&actor=&after=&limit=        LogPage (auditor)
    GET   /v1/log/receipts/{index}                           LogReceipt (auditor)
    GET   /v1/log/proofs/{index}                             .tlog-proof (C2SP; auditor, or whose act it was)
    GET   /v1/log/consistency?old_size=&new_size=            ConsistencyProof
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from sdk.spec.bundle import VersionStatus
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.envelope import Base64Bytes, Envelope
from sdk.spec.fingerprint import Fingerprint
from sdk.spec.ids import AliasName, ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.log_entry import AuditEventType, ConsistencyProof, LogEntry, LogReceipt
from sdk.spec.manifest import ConceptKind
from sdk.spec.opening import ReleasedArtefact
from sdk.spec.paging import Page
from sdk.spec.policy import Decision, PolicyContext, Role, Use
from sdk.spec.sampling import MAX_CONCEPTS
from sdk.spec.scopes import Scope
from sdk.spec.terms import ConsentStatus
from sdk.spec.watermark import WatermarkId

IDEMPOTENCY_KEY: Final = r"^[A-Za-z0-9_-]{16,64}$"  # of an intent

Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC))]
"""A moment that is asked about, with its zone."""
AfterIndex = Annotated[int, Field(ge=-1, lt=2**62)]
"""The index in the log after which a page begins."""
PlainText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that a database column can hold: PostgreSQL has no NUL in texts."""


class Problem(WireModel):
    """RFC 9457 problem document. `type` is `urn:imprimatur:error:<code>`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    decision: Decision | None = None  # when policy said no


class Health(WireModel):
    service: str
    version: str
    status: str = "ok"


class WhoAmI(WireModel):
    principal: PrincipalId
    tenant: TenantName
    roles: tuple[Role, ...]
    scopes: tuple[Scope, ...] | None = None  # none: all that the roles allow


class RecordAccepted(WireModel):
    """A consent or licence is recorded and logged."""

    id: RecordId
    digest: Digest
    receipt: LogReceipt


class Withdrawal(WireModel):
    reason: PlainText = Field(min_length=1, max_length=2000)


class NewConcept(WireModel):
    id: ConceptId
    kind: ConceptKind
    title: PlainText = Field(min_length=1, max_length=200)


class ConceptView(WireModel):
    id: ConceptId
    kind: ConceptKind
    title: str
    owner: PrincipalId
    created_at: AwareDatetime
    approved_number: int | None = None


class ConceptList(Page):
    concepts: tuple[ConceptView, ...]


class VersionSubmission(WireModel):
    """The manifest's exact bytes and the training service's attestation about them."""

    manifest: Base64Bytes
    attestation: Envelope
    draft: bool = False  # stored only; whoever had it trained, or owns the concept, asks for its review later


class VersionView(WireModel):
    concept: ConceptId
    number: int
    status: VersionStatus
    manifest: Digest
    submitted_by: PrincipalId
    submitted_at: AwareDatetime
    approvals: int
    approvals_required: int


class VersionList(Page):
    versions: tuple[VersionView, ...]


class VersionAt(WireModel):
    """What a reference meant at a moment, and where that version stood then.

    A claim about the past, so it is no `VersionBundle`: nothing can be composed from it. The log's entries about
    `concept@number` and `concept@alias` prove or disprove it.
    """

    ref: str
    at: AwareDatetime
    concept: ConceptId
    number: int
    manifest: Digest
    status: VersionStatus
    since: AwareDatetime  # when it came to that status, or was last changed
    aliases: tuple[AliasName, ...]  # that named it then
    consents: dict[RecordId, ConsentStatus]  # that it rested on, as they stood then
    licences: tuple[RecordId, ...]  # that it rested on then
    policies: Digest | None = None  # the bundle in force then; none: not recorded that early


class AliasChange(WireModel):
    """An alias is to name a version of its concept. Number 0 stands for no version, here and in `expected`."""

    concept: ConceptId
    alias: AliasName
    number: int = Field(ge=0, lt=2**31)
    expected: Annotated[int, Field(ge=0, lt=2**31)] | None = None  # what it names now; none: whatever it names


class AliasChanges(WireModel):
    """All of these at once, or none."""

    changes: tuple[AliasChange, ...] = Field(min_length=1, max_length=64)


class AliasView(WireModel):
    """What an alias names from `set_at` on; number 0 when it was taken away."""

    concept: ConceptId
    alias: AliasName
    number: int
    set_by: PrincipalId
    set_at: AwareDatetime
    log_index: int


class AliasList(Page):
    aliases: tuple[AliasView, ...]


class AliasesSet(WireModel):
    """The aliases as they now are, with the proof of each, in the order of the changes."""

    aliases: tuple[AliasView, ...]
    receipts: tuple[LogReceipt, ...]


class GenerationIntent(WireModel):
    """What an application is about to generate; recorded before anything is generated."""

    manifests: tuple[Digest, ...] = Field(min_length=1, max_length=MAX_CONCEPTS)
    scene: Digest  # of the scene text, which stays with the application
    use: Use
    count: int = Field(ge=1, le=64)
    seed: int = Field(ge=0, lt=2**53)
    sampling: Digest | None = None  # of the Sampling: every number that the pixels depend on
    executor: PrincipalId | None = None  # the rendering service that draws; none: the application itself
    base_model: Digest
    policy_bundle: Digest  # the bundle under which the SDK itself decided
    idempotency_key: Annotated[str, Field(pattern=IDEMPOTENCY_KEY)]  # under one, an intent is permitted once


class GenerationGrant(WireModel):
    """The decision of record with what it rests on, and signed leave to go on until `expires_at`."""

    id: RecordId
    decision: Decision
    context: PolicyContext
    grant: Envelope  # of a GrantPredicate of sdk.spec.grant
    receipt: LogReceipt
    expires_at: AwareDatetime
    growth: ConsistencyProof | None = None  # where the query asked for it
    released: tuple[ReleasedArtefact, ...] | None = None  # where the query asked for it


class GeneratedImage(WireModel):
    digest: Digest  # of the file that is handed out, credentials included
    media_type: str = Field(max_length=100)
    size: int = Field(ge=1)
    fingerprints: tuple[Fingerprint, ...] | None = Field(default=None, max_length=32)  # of it and of crops of it
    watermark: WatermarkId | None = None  # in its pixels, where it is large enough to carry one


class GenerationResult(WireModel):
    """What was generated, with the application's signed statement about it."""

    images: tuple[GeneratedImage, ...] = Field(min_length=1, max_length=64)
    statement: Envelope
    attention: Digest | None = None  # of the `GenerationAttention` that the application kept


class GenerationView(WireModel):
    id: RecordId
    application: PrincipalId
    intent: GenerationIntent
    decision: Decision
    versions: tuple[str, ...]  # "tenant/name@number"
    break_glass: tuple[str, ...] = ()  # of these, those that were not approved but opened by break-glass
    permitted_at: AwareDatetime
    recorded_at: AwareDatetime | None = None
    images: tuple[GeneratedImage, ...] = ()
    attention: Digest | None = None
    intent_index: int  # in the log
    result_index: int | None = None


class GenerationList(Page):
    generations: tuple[GenerationView, ...]


class RecordedDecision(WireModel):
    """A decision of record with everything that it rests on, so that anybody can decide it again."""

    generation: RecordId
    log_index: int
    context: PolicyContext
    decision: Decision


class DecisionPage(WireModel):
    decisions: tuple[RecordedDecision, ...]
    next_after: int | None = None


class LicenceCount(WireModel):
    """Images granted under a licence so far; `limit` is what it allows in all, absent when it does not say."""

    licence: RecordId
    granted: int
    limit: int | None = None


class DecisionQuery(WireModel):
    """The filters of GET /v1/generations/decisions."""

    since: Moment | None = None
    after: AfterIndex = -1
    limit: int = Field(default=200, ge=1, le=500)


class PolicyBundleView(WireModel):
    """The files of a policy bundle; `digest` is over names and contents."""

    digest: Digest
    files: dict[str, str]
    since: AwareDatetime | None = None  # when it came into force, if a moment was asked about
    log_index: int | None = None  # of the entry that says so


class LoggedEntry(WireModel):
    index: int
    entry: LogEntry


class LogPage(WireModel):
    entries: tuple[LoggedEntry, ...]
    next_after: int | None = None


class LogQuery(WireModel):
    """The filters of GET /v1/log/entries."""

    event: AuditEventType | None = None
    subject: Annotated[PlainText, Field(max_length=300)] | None = None
    actor: PrincipalId | None = None
    after: AfterIndex = -1
    limit: int = Field(default=100, ge=1, le=1000)
