"""What a policy may see and what it answers; no engine here (that is `sdk.policy`).

A `PolicyContext` is complete: the same context under the same bundle gives the same `Decision` years later.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.manifest import ConceptKind
from sdk.spec.terms import Medium, Territory, Vocabulary


class PolicyDomain(StrEnum):
    """The sets of rules under `policies/`, one folder each."""

    TRAINING = "training"
    APPROVAL = "approval"
    COMPOSITION = "composition"
    AUDIT_ACCESS = "audit_access"
    ADMINISTRATION = "administration"  # a tenant's credentials and webhooks


class Role(StrEnum):
    """What a principal may be in a tenant; a principal may have several."""

    ADMIN = "admin"  # issues credentials
    OWNER = "owner"  # owns concepts, records consents and licences
    TRAINER = "trainer"  # asks for training
    TRAINING_SERVICE = "training-service"  # submits what it trained
    REVIEWER = "reviewer"  # approves, rejects, revokes
    APP = "app"  # composes
    RENDERER = "renderer"  # draws what applications were permitted; is handed the artefacts in their place
    AUDITOR = "auditor"  # reads everything, changes nothing
    SUBJECT = "subject"  # is, or speaks for, a person that records are about: reads and withdraws those, nothing else


class Effect(StrEnum):
    """The outcome of a decision."""

    PERMIT = "permit"
    DENY = "deny"


class PolicyPrincipal(WireModel):
    """Who asks."""

    id: PrincipalId
    roles: tuple[Role, ...]


class Use(WireModel):
    """What a composition is for."""

    purpose: Vocabulary
    territory: Territory
    channel: Vocabulary


class ConceptFacts(WireModel):
    """One concept version as policies see it: the intersection of all its consents and licences."""

    concept: ConceptId
    number: int = Field(ge=0)  # 0: no version exists yet (training)
    kind: ConceptKind
    status: str  # a VersionStatus value, or "unsubmitted"
    owner: PrincipalId
    trainer_of_record: PrincipalId | None = None
    review_requested_by: PrincipalId | None = None
    consent_live: bool  # every consent record given, and inside its term
    licence_live: bool  # every licence grant inside its term
    covers_concept: bool  # every record names this concept
    has_minor: bool = False
    guardian_consent: bool | None = None  # each consent of a minor is by who may give it; none: no minor
    purposes: tuple[Vocabulary, ...] = ()
    territories: tuple[Territory, ...] = ()
    channels: tuple[Vocabulary, ...] = ()
    prohibited_uses: tuple[Vocabulary, ...] = ()
    not_with: tuple[ConceptId, ...] = ()
    categories: tuple[Vocabulary, ...] | None = None
    exclusive_in: tuple[Vocabulary, ...] | None = None
    applications: tuple[PrincipalId, ...] | None = None  # none: no licence limits who composes
    base_model: Digest | None = None  # that the version was learned on
    base_models: tuple[Digest, ...] | None = None  # none: no licence limits it
    images_left: int | None = None  # under the tightest licence; none: no licence limits it
    approvals: int | None = None  # reviewers who approved the version
    media: tuple[Medium, ...] | None = None  # none: no record limits it
    not_with_categories: tuple[Vocabulary, ...] | None = None  # of others in the same picture
    uses_described: bool | None = None  # every licence says which uses are meant, or who advised the person


class PolicyContext(WireModel):
    """Principal, action, resources and context facts of one question."""

    domain: PolicyDomain
    action: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,40}$")]
    principal: PolicyPrincipal
    concepts: tuple[ConceptFacts, ...] = ()
    use: Use | None = None
    count: int | None = None  # images asked for
    at: AwareDatetime

    @property
    def digest(self) -> Digest:
        return Digest.of(encode_canonical(self))


class Reason(WireModel):
    """Why: the rule, what it is about, the facts in words, and who can change it."""

    rule: str  # e.g. "composition.approved-only"
    about: str  # a concept id, or the principal
    message: str
    remedy: str


class Decision(WireModel):
    """An outcome with its reasons, and the digests that let anybody decide it again."""

    effect: Effect
    action: str
    reasons: tuple[Reason, ...]
    bundle: Digest  # of the policy bundle
    context: Digest  # of the PolicyContext

    @property
    def permitted(self) -> bool:
        return self.effect is Effect.PERMIT
