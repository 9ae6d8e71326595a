"""One valid value of each body that services answer with, for tests of who sends and reads them."""

from __future__ import annotations

from support.governed import EVIDENCE, FOX, NOW, World, consent_record, record_id

from sdk.spec import access, api, break_glass, rendering, renewal, review, training, webhooks
from sdk.spec.consent_events import ConsentAnswer, ConsentEventView, ConsentReceipt, LifeEventReport
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.erasure import ErasureAccepted
from sdk.spec.policy import Decision, Effect, PolicyContext, Reason, Use
from sdk.spec.sampling import Sampling
from sdk.spec.subjects import SubjectBinding

DECISION = Decision(
    effect=Effect.DENY,
    action="compose",
    reasons=(Reason(rule="composition.territory", about="demo/fox", message="no", remedy="ask"),),
    bundle=Digest.of(b"bundle"),
    context=Digest.of(b"context"),
)
WORLD = World()
DIGEST = Digest.of(b"content")
RECEIPT = WORLD.log.receipt(1)
WEBHOOK = webhooks.WebhookView(
    id="whk_" + "a" * 26,
    url="https://x.example",
    events=("alias.set",),
    description="",
    created_by="demo/admin",
    created_at=NOW,
    position=1,
    attempts=0,
)
ISSUED = access.IssuedCredential(
    text="imp_new",
    credential=access.CredentialView(
        digest=DIGEST, principal="demo/app", roles=("app",), label="", issued_at=NOW, expires_at=NOW
    ),
)
INTENT = api.GenerationIntent(
    manifests=(DIGEST,),
    scene=DIGEST,
    use=Use(purpose="advertising", territory="JP", channel="web"),
    count=1,
    seed=1,
    base_model=DIGEST,
    policy_bundle=DIGEST,
    idempotency_key="k" * 16,
)
RESULT = api.GenerationResult(
    images=(api.GeneratedImage(digest=DIGEST, media_type="image/png", size=1),), statement=WORLD.attestation
)
CONCEPT = api.ConceptView(id=FOX, kind="subject", title="Fox", owner="demo/owner", created_at=NOW)
VERSION = api.VersionView(
    concept=FOX,
    number=1,
    status="submitted",
    manifest=DIGEST,
    submitted_by="demo/trainer",
    submitted_at=NOW,
    approvals=0,
    approvals_required=1,
)
REQUEST = training.TrainingRequest(
    concepts=(
        training.ConceptRequest(
            id=FOX, kind="subject", class_word="fox", consents=(record_id("con"),), licences=(record_id("lic"),)
        ),
    ),
    pictures=(training.PictureRequest(name="1.png", digest=DIGEST, concepts=(FOX,)),),
)
TO_DRAW = rendering.RenderRequest(
    grant=Envelope(payload=b"{}", payload_type="x", signatures=()),
    scene="{hero}",
    names={"hero": FOX},
    sampling=Sampling(seed=1, steps=1, guidance=1),
    manifests=(b"{}",),
)
RENDER = rendering.RenderView(generation=record_id("gen"), status="queued", images=1, steps=1, created_at=NOW)
JOB = training.JobView(
    id=record_id("job"), status="queued", requested_by="demo/trainer", request=REQUEST, created_at=NOW
)
ACCEPTED = api.RecordAccepted(id=record_id("con"), digest=DIGEST, receipt=RECEIPT)
GRANT = api.GenerationGrant(
    id=record_id("gen"),
    decision=DECISION,
    context=PolicyContext(domain="composition", action="compose", principal={"id": "demo/app", "roles": ()}, at=NOW),
    grant=TO_DRAW.grant,
    receipt=RECEIPT,
    expires_at=NOW,
)
VIEW = api.GenerationView(
    id=record_id("gen"),
    application="demo/app",
    intent=INTENT,
    decision=DECISION,
    versions=("demo/fox@1",),
    permitted_at=NOW,
    intent_index=1,
)
RAW = object()
ERASED = ErasureAccepted(id=record_id("era"), certificate=WORLD.attestation, receipt=RECEIPT)
ANSWER = ConsentAnswer(
    answer="re-confirm",
    expressed_by="subject-0001",
    expressed_as="self",
    expressed_on=NOW.date(),
    expressed_through="credential",
)
LIFE_EVENT = LifeEventReport(pseudonym="subject-0001", event="died", happened_on=NOW.date(), evidence=EVIDENCE)
CONSENT_RECEIPT = ConsentReceipt(
    id=record_id("con"),
    digest=DIGEST,
    record=consent_record(),
    status="given",
    events=(ConsentEventView(event="give", at=NOW, status="given", recorded_by="demo/owner", receipt=RECEIPT),),
    issued_at=NOW,
    issued_by="log.test/imprimatur",
)
BINDING = SubjectBinding(pseudonym="subject-0001", principal="demo/aiko", capacity="self")

ALIAS = api.AliasView(concept=FOX, alias="stable", number=1, set_by="demo/owner", set_at=NOW, log_index=1)
AT = api.VersionAt(
    ref="demo/fox@1",
    at=NOW,
    concept=FOX,
    number=1,
    manifest=DIGEST,
    status="approved",
    since=NOW,
    aliases=("stable",),
    consents={record_id("con"): "given"},
    licences=(record_id("lic"),),
)
RENEWAL = renewal.RenewalView(
    concept=FOX,
    number=1,
    round=1,
    status="waiting",
    consents=(record_id("con"),),
    licences=(record_id("lic"),),
    terms=Digest.of(b"terms"),
    requested_by="demo/owner",
    requested_at=NOW,
    approvals=0,
    approvals_required=1,
    may_review=("demo/reviewer",),
    log_index=9,
)
TASK = review.ReviewTask(
    concept=FOX,
    number=1,
    kind="subject",
    risk_class="standard",
    status="submitted",
    owner="demo/owner",
    trainer_of_record="demo/trainer",
    requested_by="demo/trainer",
    requested_at=NOW,
    approvals=0,
    approvals_required=1,
    may_review=("demo/reviewer",),
    reviewers=(),
    overdue=False,
    assignment=0,
    comments=0,
)
SAID = review.LoggedComment(
    comment=review.Comment(
        concept=FOX, number=1, comment=1, author="demo/reviewer", written_at=NOW, text="look", nonce=bytes(16)
    ),
    log_index=1,
)
OPENED = break_glass.BreakGlassView(
    concept=FOX,
    number=1,
    manifest=DIGEST,
    signers=("demo/owner", "demo/reviewer"),
    opened_by="demo/reviewer",
    reason="the broadcast is tonight",
    terms=DIGEST,
    opened_at=NOW,
    expires_at=NOW,
    in_force=False,
    envelope=WORLD.attestation,
    log_index=1,
)
