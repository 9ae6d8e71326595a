"""The client against a transport that answers with the vocabulary: routes, errors, retries, bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.governed import (
    EVIDENCE,
    FOX,
    NOW,
    World,
    consent_evidence,
    consent_record,
    licence_evidence,
    licence_grant,
    record_id,
)
from support.route_maps import registry_map

from sdk import errors
from sdk.client import Client, transport
from sdk.client.transport import ATTEMPTS, error_from
from sdk.errors import (
    ConfigurationError,
    Conflict,
    DigestMismatch,
    FormatError,
    ImprimaturError,
    NotFound,
    PermissionDenied,
    PolicyDenied,
    ServiceError,
    ServiceUnavailable,
)
from sdk.spec import access, api, break_glass, recall, rendering, review, training, webhooks
from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.consent_events import (
    ConsentAnswer,
    ConsentEventView,
    ConsentReceipt,
    LifeEventRecorded,
    LifeEventReport,
)
from sdk.spec.denials import DenialPage, DenialQuery, TrainingDenied, WantedConcept, WantedTraining
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.erasure import ErasureAccepted, ErasureList
from sdk.spec.identify import IdentifyAnswer, IdentifyQuery
from sdk.spec.ledger import LedgerPage, LedgerQuery
from sdk.spec.policy import Decision, Effect, PolicyContext, Reason, Use
from sdk.spec.royalty_report import RoyaltyQuery, RoyaltyReport
from sdk.spec.sampling import Sampling
from sdk.spec.subjects import ConsentPage, SubjectAccepted, SubjectBinding, SubjectList, SubjectRelease
from sdk.spec.usage import UsageCount, UsageDimension, UsageQuery, UsageReport

REGISTRY, TRAINER = "http://registry.test", "http://trainer.test"
Handler = Callable[[httpx.Request], httpx.Response]


class Seen:
    """A service that records what it was asked and answers with what it was told to."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)


def client_of(handler: Handler, pauses: list[float] | None = None) -> Client:
    """A client that notes how long it would have waited."""
    carrier = httpx.MockTransport(handler)
    waited = [] if pauses is None else pauses
    return Client(REGISTRY, "imp_secret", trainer_url=TRAINER, transport=carrier, sleep=waited.append)


def wire(value: WireModel, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=encode_canonical(value))


def problem(status: int, code: str, **members: Any) -> httpx.Response:
    body = {"type": f"urn:imprimatur:error:{code}", "title": "no", "status": status, "detail": "because", "code": code}
    return httpx.Response(status, json=body | members)


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
CALLS: list[tuple[str, Callable[[Client], Any], Any]] = [
    ("GET /healthz", lambda c: c.health(), api.Health(service="registry", version="1")),
    ("GET /readyz", lambda c: c.ready(), api.Health(service="registry", version="1", status="ready")),
    ("GET /v1/trust-root", lambda c: c.trust_root(), WORLD.attestation),
    ("GET /v1/whoami", lambda c: c.whoami(), api.WhoAmI(principal="demo/app", tenant="demo", roles=("app",))),
    ("GET /v1/webhooks/key", lambda c: c.webhook_key(), webhooks.WebhookKey(public_key="whpk_AAAA")),
    (
        "POST /v1/webhooks",
        lambda c: c.create_webhook(webhooks.NewWebhook(url="https://x.example", events=("alias.set",))),
        WEBHOOK,
    ),
    ("GET /v1/webhooks", lambda c: c.list_webhooks(), webhooks.WebhookPage(webhooks=(WEBHOOK,))),
    (
        "GET /v1/webhooks/{id}/deliveries",
        lambda c: c.list_deliveries(WEBHOOK.id),
        webhooks.DeliveryPage(deliveries=()),
    ),
    ("POST /v1/webhooks/{id}/replay", lambda c: c.replay_webhook(WEBHOOK.id, 7), WEBHOOK),
    ("POST /v1/webhooks/{id}/end", lambda c: c.end_webhook(WEBHOOK.id), WEBHOOK),
    (
        "POST /v1/credentials",
        lambda c: c.issue_credential(access.NewCredential(principal="demo/app", roles=("app",))),
        ISSUED,
    ),
    (
        "GET /v1/credentials",
        lambda c: c.list_credentials(),
        access.CredentialPage(credentials=(ISSUED.credential,)),
    ),
    (
        "POST /v1/credentials/{digest}/rotation",
        lambda c: c.rotate_credential(DIGEST, access.Rotation(overlap_seconds=60)),
        ISSUED,
    ),
    ("POST /v1/credentials/{digest}/revocation", lambda c: c.revoke_credential(DIGEST), ISSUED.credential),
    ("PUT /v1/blobs/{digest}", lambda c: c.put_blob(b"content"), RAW),
    ("GET /v1/blobs/{digest}", lambda c: c.get_blob(DIGEST), RAW),
    ("POST /v1/consents", lambda c: c.give_consent(consent_record()), ACCEPTED),
    (
        "GET /v1/consents?subject=subject-0001&limit=100",
        lambda c: c.list_consents(subject="subject-0001"),
        ConsentPage(consents=(consent_evidence(),)),
    ),
    (
        "GET /v1/consents/{id}?as_of=2026-11-24T12%3A00%3A00%2B00%3A00",
        lambda c: c.consent_as_of(record_id("con"), NOW),
        consent_evidence(),
    ),
    ("GET /v1/consents/{id}/receipt", lambda c: c.consent_receipt(record_id("con")), CONSENT_RECEIPT),
    ("GET /v1/consents/{id}/export", lambda c: c.export_consent(record_id("con")), RAW),
    ("GET /v1/licences/{id}/export", lambda c: c.export_licence(record_id("lic")), RAW),
    ("POST /v1/consents/{id}/answers", lambda c: c.answer_consent(record_id("con"), ANSWER), ACCEPTED),
    (
        "POST /v1/consents/{id}/reinstatement",
        lambda c: c.reinstate(record_id("con")),
        api.VersionList(versions=(VERSION,)),
    ),
    (
        "POST /v1/subjects/life-events",
        lambda c: c.report_life_event(LIFE_EVENT),
        LifeEventRecorded(digest=DIGEST, consents=(), suspended=(), released=(), receipts=()),
    ),
    ("POST /v1/subjects", lambda c: c.bind_subject(BINDING), SubjectAccepted(digest=DIGEST, receipt=RECEIPT)),
    (
        "POST /v1/subjects/release",
        lambda c: c.release_subject(SubjectRelease(pseudonym="s", principal="demo/aiko", reason="x")),
        SubjectAccepted(digest=DIGEST, receipt=RECEIPT),
    ),
    ("GET /v1/subjects", lambda c: c.list_subjects(), SubjectList(subjects=())),
    ("GET /v1/consents/{id}", lambda c: c.get_consent(record_id("con")), consent_evidence()),
    ("POST /v1/consents/{id}/withdrawal", lambda c: c.withdraw_consent(record_id("con"), "asked"), ACCEPTED),
    ("POST /v1/licences", lambda c: c.grant_licence(licence_grant()), ACCEPTED),
    ("GET /v1/licences/{id}", lambda c: c.get_licence(record_id("lic")), licence_evidence()),
    (
        "POST /v1/concepts",
        lambda c: c.create_concept(api.NewConcept(id=FOX, kind="subject", title="Fox")),
        CONCEPT,
    ),
    ("GET /v1/concepts", lambda c: c.list_concepts(), api.ConceptList(concepts=(CONCEPT,))),
    ("GET /v1/concepts/{tenant}/{name}", lambda c: c.get_concept(FOX), CONCEPT),
    (
        "POST /v1/concepts/{tenant}/{name}/versions",
        lambda c: c.submit_version(FOX, api.VersionSubmission(manifest=b"{}", attestation=WORLD.attestation)),
        VERSION,
    ),
    (
        "GET /v1/concepts/{tenant}/{name}/versions",
        lambda c: c.list_versions(FOX),
        api.VersionList(versions=(VERSION,)),
    ),
    ("GET /v1/concepts/{tenant}/{name}/versions/{number}", lambda c: c.get_version(FOX, 1), WORLD.bundle()),
    (
        "GET /v1/concepts/{tenant}/{name}/versions/{number}/files/{digest}",
        lambda c: c.get_file(FOX, 1, DIGEST),
        RAW,
    ),
    (
        "GET /v1/history?ref=demo%2Ffox%401&at=2026-11-24T12%3A00%3A00%2B00%3A00",
        lambda c: c.history("demo/fox@1", NOW),
        AT,
    ),
    (
        "POST /v1/aliases",
        lambda c: c.set_aliases([api.AliasChange(concept=FOX, alias="stable", number=1)]),
        api.AliasesSet(aliases=(ALIAS,), receipts=(WORLD.log.receipt(1),)),
    ),
    ("GET /v1/aliases?concept=demo%2Ffox", lambda c: c.list_aliases(concept=FOX), api.AliasList(aliases=(ALIAS,))),
    (
        "GET /v1/concepts/{tenant}/{name}/aliases/{alias}",
        lambda c: c.alias_history(FOX, "stable"),
        api.AliasList(aliases=(ALIAS,)),
    ),
    (
        f"GET /v1/royalties?licence={record_id('lic')}",
        lambda c: c.royalties(RoyaltyQuery(licence=record_id("lic"))),
        RoyaltyReport(tenant="demo", until=NOW, accounts=(), open_uses=0, open_images=0),
    ),
    (
        "GET /v1/denials?limit=200&concept=demo%2Ffox",
        lambda c: c.list_denials(DenialQuery(concept=FOX)),
        DenialPage(denials=()),
    ),
    (
        "POST /v1/trainings/denied",
        lambda c: c.report_denied_training(WantedTraining(concepts=(WantedConcept(concept=FOX),))),
        TrainingDenied(log_indices=(3,)),
    ),
    (
        "GET /v1/royalties/ledger?since=2026-06-01T00%3A00%3A00Z&after=3&limit=200",
        lambda c: c.ledger_page(LedgerQuery(since="2026-06-01T00:00Z", after=3)),
        LedgerPage(tenant="demo", after=3, receipts=(), proof=(), checkpoint="note"),
    ),
    (
        "GET /v1/generations/usage?by=concept&territory=JP",
        lambda c: c.usage(UsageQuery(territory="JP")),
        UsageReport(
            by=(UsageDimension.CONCEPT,),
            rows=(),
            total=UsageCount(permitted=0, denied=0, images_granted=0, images_recorded=0),
        ),
    ),
    (
        "POST /v1/generations/identify",
        lambda c: c.identify(IdentifyQuery(digest=DIGEST)),
        IdentifyAnswer(matches=()),
    ),
    ("GET /v1/generations/decisions?after=-1&limit=200", lambda c: c.list_decisions(), api.DecisionPage(decisions=())),
    (
        "GET /v1/generations/licences/{id}",
        lambda c: c.count_images(record_id("lic")),
        api.LicenceCount(licence=record_id("lic"), granted=4, limit=100),
    ),
    ("GET /v1/resolve?ref=demo%2Ffox%401", lambda c: c.resolve("demo/fox@1"), WORLD.bundle()),
    (
        "GET /v1/reviews?reviewer=demo%2Freviewer&overdue=True",
        lambda c: c.list_reviews(review.ReviewQuery(reviewer="demo/reviewer", overdue=True)),
        review.ReviewQueue(tasks=(TASK,)),
    ),
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/review-request",
        lambda c: c.request_review(FOX, 1, review.ReviewRequest()),
        TASK,
    ),
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/assignment",
        lambda c: c.assign_review(FOX, 1, review.Assignment(reviewers=())),
        TASK,
    ),
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/comments",
        lambda c: c.comment(FOX, 1, review.NewComment(text="look")),
        SAID,
    ),
    (
        "GET /v1/concepts/{tenant}/{name}/versions/{number}/comments",
        lambda c: c.list_comments(FOX, 1),
        review.CommentList(comments=(SAID,)),
    ),
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/reviews",
        lambda c: c.review(FOX, 1, WORLD.attestation),
        VERSION,
    ),
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/break-glass",
        lambda c: c.break_glass(FOX, 1, WORLD.attestation),
        OPENED,
    ),
    ("GET /v1/break-glasses", lambda c: c.list_break_glasses(), break_glass.BreakGlassPage(break_glasses=(OPENED,))),
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/revocation",
        lambda c: c.revoke(FOX, 1, WORLD.attestation),
        VERSION,
    ),
    ("POST /v1/generations", lambda c: c.open_generation(INTENT), GRANT),
    (
        "GET /v1/generations?concept=demo%2Ffox",
        lambda c: c.list_generations(FOX),
        api.GenerationList(generations=(VIEW,)),
    ),
    ("GET /v1/generations/{id}", lambda c: c.get_generation(record_id("gen")), VIEW),
    ("GET /v1/generations/{id}/artefacts/{digest}", lambda c: c.fetch_artefact(record_id("gen"), DIGEST), RAW),
    ("POST /v1/generations/{id}/result", lambda c: c.record_generation(record_id("gen"), RESULT), RECEIPT),
    (
        "GET /v1/concepts/{tenant}/{name}/versions/{number}/blast-radius",
        lambda c: c.blast_radius(FOX, 1),
        WORLD.attestation,
    ),
    ("GET /v1/notices", lambda c: c.list_notices(), recall.NoticeList(notices=())),
    (
        "POST /v1/notices/acknowledgements",
        lambda c: c.acknowledge_notice(recall.NoticeAcknowledgement(concept=FOX, number=1)),
        RECEIPT,
    ),
    ("POST /v1/erasures", lambda c: c.erase_subject("subject-1"), ERASED),
    ("GET /v1/erasures", lambda c: c.list_erasures(), ErasureList(erasures=())),
    ("GET /v1/policies", lambda c: c.policies(), api.PolicyBundleView(digest=DIGEST, files={})),
    ("GET /v1/tuf/metadata/{name}", lambda c: c.tuf_file("metadata/fox"), RAW),
    ("GET /v1/tuf/targets/{name}", lambda c: c.tuf_file("targets/fox"), RAW),
    ("GET /v1/status/{tenant}/{number}", lambda c: c.status_list("demo", 1), RAW),
    ("GET /v1/log/checkpoint", lambda c: c.log_checkpoint(), RAW),
    ("GET /v1/log/checkpoint/witnessed", lambda c: c.log_witnessed_checkpoint(), RAW),
    ("GET /v1/log/tile/0/x001/067", lambda c: c.log_tile(0, 1067), RAW),
    ("GET /v1/log/tile/entries/000.p/3", lambda c: c.log_entry_bundle(0, width=3), RAW),
    (
        "GET /v1/log/entries?subject=demo%2Ffox%401&limit=7",
        lambda c: c.log_entries(api.LogQuery(subject="demo/fox@1", limit=7)),
        api.LogPage(entries=()),
    ),
    ("GET /v1/log/receipts/{index}", lambda c: c.log_receipt(1), RECEIPT),
    ("GET /v1/log/proofs/{index}", lambda c: c.log_proof(1), RAW),
    (
        "GET /v1/log/consistency?old_size=1&new_size=2",
        lambda c: c.log_consistency(1, 2),
        api.ConsistencyProof(old_size=1, new_size=2, hashes=(bytes(32),)),
    ),
    ("GET /healthz", lambda c: c.trainer_health(), api.Health(service="trainer", version="1")),
    ("PUT /v1/pictures/{digest}", lambda c: c.put_picture(b"content"), RAW),
    ("POST /v1/jobs", lambda c: c.create_job(REQUEST), JOB),
    ("GET /v1/jobs", lambda c: c.list_jobs(), training.JobList(jobs=(JOB,))),
    ("GET /v1/jobs/{id}", lambda c: c.get_job(record_id("job")), JOB),
    ("POST /v1/jobs/{id}/cancel", lambda c: c.cancel_job(record_id("job")), JOB),
    ("GET /v1/jobs/{id}/files", lambda c: c.job_files(record_id("job")), training.FileList(files=("a/b.png",))),
    ("GET /v1/jobs/{id}/files/{name}", lambda c: c.job_file(record_id("job"), "a/b.png"), RAW),
    ("GET /v1/renderer", lambda c: c.renderer(), rendering.RendererView(principal="demo/renderer", base_model=DIGEST)),
    ("POST /v1/renders", lambda c: c.create_render(TO_DRAW), RENDER),
    ("GET /v1/renders/{generation}", lambda c: c.get_render(record_id("gen")), RENDER),
    ("GET /v1/renders/{generation}/images/{position}", lambda c: c.render_image(record_id("gen"), 1), RAW),
    ("POST /v1/renders/{generation}/end", lambda c: c.end_render(record_id("gen")), RENDER),
]
PARTS = {
    "generation": str(record_id("gen")),
    "position": "1",
    "alias": "stable",
    "tenant": "demo",
    "name": "fox",
    "number": "1",
    "index": "1",
    "digest": str(DIGEST),
}


def expected_target(route: str) -> str:
    """The method and target of a call of CALLS, with its parameters filled in."""
    prefixes = {"consents": "con", "licences": "lic", "generations": "gen", "jobs": "job"}
    parts = dict(PARTS)
    if route.endswith("/files/{name}"):
        parts["name"] = "a/b.png"
    kind = re.search(r"/(\w+)/\{id\}", route)
    if kind:
        parts["id"] = WEBHOOK.id if kind[1] == "webhooks" else record_id(prefixes[kind[1]])
    return re.sub(r"\{(\w+)\}", lambda match: str(parts[match[1]]), route)


class TestRoutes:
    @pytest.mark.parametrize(("route", "call", "answer"), CALLS, ids=[route for route, _, _ in CALLS])
    def test_calls_its_route_and_parses_its_answer(
        self, route: str, call: Callable[[Client], Any], answer: Any
    ) -> None:
        service = Seen(httpx.Response(200, content=b"content") if answer is RAW else wire(answer))
        with client_of(service) as client:
            result = call(client)
        request = service.requests[0]
        assert f"{request.method} {request.url.raw_path.decode()}" == expected_target(route)
        assert request.headers["Authorization"] == "Bearer imp_secret"
        assert result in (b"content", DIGEST) if answer is RAW else result == answer

    def test_every_route_of_the_vocabulary_has_a_method(self) -> None:
        trainers = f"{training.__doc__}\n{rendering.__doc__}"
        mapped = registry_map() + re.findall(r"^    (GET|PUT|POST)\s+(/\S+?)(?:\?\S*)?\s", trainers, re.MULTILINE)
        called = {route.split("?")[0] for route, _, _ in CALLS}
        wanted = {
            f"{method} {path}"
            for method, path in mapped
            if "/log/tile/" not in path  # tiles have paths of their own
        }
        assert len(wanted) > 30
        assert wanted <= called

    def test_a_list_is_asked_for_page_after_page(self) -> None:
        pages = [api.ConceptList(concepts=(CONCEPT,), next_cursor=cursor) for cursor in ("a", "b", None)]
        service = Seen(*(wire(page) for page in pages))
        with client_of(service) as client:
            assert client.list_concepts() == api.ConceptList(concepts=(CONCEPT,) * 3)
        assert [request.url.params.get("cursor") for request in service.requests] == [None, "a", "b"]

    def test_a_list_without_an_end_is_refused(self) -> None:
        service = Seen(wire(api.ConceptList(concepts=(CONCEPT,), next_cursor="a")))
        with client_of(service) as client, pytest.raises(FormatError, match="no end"):
            client.list_concepts()

    def test_trainer_routes_go_to_the_trainer(self) -> None:
        service = Seen(wire(JOB))
        with client_of(service) as client:
            client.get_job(record_id("job"))
        assert service.requests[0].url.host == "trainer.test"

    def test_says_what_is_missing_without_a_trainer(self) -> None:
        with Client("https://registry.test", "imp_x") as client:
            with pytest.raises(ConfigurationError, match="no trainer is known"):
                client.list_jobs()

    def test_a_credential_leaves_the_machine_over_tls_only(self) -> None:
        for address in ("http://127.0.0.1:8700", "http://localhost:8700", "http://[::1]:8700", "https://registry.test"):
            Client(address, "imp_x").close()
        for address in ("http://registry.test", "http://10.0.0.7:8700", "http://localhost.registry.test"):
            with pytest.raises(ConfigurationError, match="in the clear"):
                Client(address, "imp_x")
            with pytest.raises(ConfigurationError, match="in the clear"):
                Client("https://registry.test", "imp_x", trainer_url=address)

    @pytest.mark.parametrize("address", ["registry.test", "ftp://registry.test", "http://", "http://[::1"])
    def test_refuses_what_is_no_address(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match=r"address"):
            Client(address, "imp_x")


class TestErrors:
    @pytest.mark.parametrize(
        "cls",
        [
            cls
            for cls in vars(errors).values()
            if isinstance(cls, type) and issubclass(cls, ImprimaturError) and cls is not PolicyDenied
        ],
    )
    def test_every_code_becomes_its_class(self, cls: type[ImprimaturError]) -> None:
        answer = problem(418, cls.code)
        error = error_from(418, answer.content, "x")
        assert type(error) is cls
        assert error.message == "because"

    def test_a_decision_becomes_a_denial_that_carries_it(self) -> None:
        answer = problem(403, "policy.denied", decision=json.loads(encode_canonical(DECISION)))
        with client_of(Seen(answer)) as client, pytest.raises(PolicyDenied) as caught:
            client.open_generation(INTENT)
        assert caught.value.decision == DECISION

    @pytest.mark.parametrize(
        ("status", "cls"),
        [(403, PermissionDenied), (404, NotFound), (409, Conflict), (418, ServiceError), (500, ServiceError)],
    )
    def test_without_a_problem_document_the_status_decides(self, status: int, cls: type[ServiceError]) -> None:
        error = error_from(status, b"<html>", "registry GET /x")
        assert type(error) is cls
        assert str(status) in error.message

    def test_a_denial_without_its_decision_is_still_an_error(self) -> None:
        assert isinstance(error_from(403, problem(403, "policy.denied").content, "x"), PermissionDenied)

    @pytest.mark.parametrize("content", [b"", b"[]", b"not json", b'{"service": 1}', b'{"a":1,"a":2}'])
    def test_an_answer_that_is_not_what_it_should_be_is_a_format_error(self, content: bytes) -> None:
        with client_of(Seen(httpx.Response(200, content=content))) as client, pytest.raises(FormatError):
            client.health()

    def test_other_bytes_than_asked_for_are_refused(self) -> None:
        with client_of(Seen(httpx.Response(200, content=b"other"))) as client:
            with pytest.raises(DigestMismatch):
                client.get_file(FOX, 1, DIGEST)
            with pytest.raises(DigestMismatch):
                client.get_blob(DIGEST)
            with pytest.raises(DigestMismatch):
                client.fetch_artefact(record_id("gen"), DIGEST)

    def test_an_answer_over_the_limit_is_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 10)
        with (
            client_of(Seen(httpx.Response(200, content=b"x" * 11))) as client,
            pytest.raises(FormatError, match="larger than 10"),
        ):
            client.health()


class TestRetries:
    def test_repeats_a_read_until_there_is_an_answer(self) -> None:
        answer = api.Health(service="registry", version="1")
        service = Seen(httpx.ConnectError("refused"), problem(503, "service.unavailable"), wire(answer))
        pauses: list[float] = []
        with client_of(service, pauses) as client:
            assert client.health() == answer
        assert len(service.requests) == 3
        assert pauses == [0.2, 0.4]

    def test_gives_up_after_the_last_attempt_and_names_the_service(self) -> None:
        service = Seen(httpx.ConnectError("refused"))
        with (
            client_of(service) as client,
            pytest.raises(ServiceUnavailable, match=r"registry at http://registry\.test"),
        ):
            client.health()
        assert len(service.requests) == ATTEMPTS

    def test_never_repeats_what_may_not_happen_twice(self) -> None:
        service = Seen(httpx.ReadError("lost"))
        with client_of(service) as client, pytest.raises(ServiceUnavailable):
            client.create_job(REQUEST)
        assert len(service.requests) == 1
        assert "Idempotency-Key" not in service.requests[0].headers

    def test_repeats_an_act_on_the_registry_under_one_key(self) -> None:
        keys = []
        for _ in range(2):
            service = Seen(httpx.ReadError("lost"))
            with client_of(service) as client, pytest.raises(ServiceUnavailable):
                client.give_consent(consent_record())
            assert len(service.requests) == ATTEMPTS
            keys.append({request.headers["Idempotency-Key"] for request in service.requests})
        assert [len(used) for used in keys] == [1, 1]
        assert keys[0] != keys[1]

    @pytest.mark.parametrize(
        "call",
        [
            lambda c: c.open_generation(INTENT),
            lambda c: c.record_generation(record_id("gen"), RESULT),
            lambda c: c.put_blob(b"content"),
        ],
    )
    def test_repeats_what_carries_its_own_identity(self, call: Callable[[Client], Any]) -> None:
        service = Seen(httpx.ReadError("lost"))
        with client_of(service) as client, pytest.raises(ServiceUnavailable):
            call(client)
        assert len(service.requests) == ATTEMPTS
        assert len({request.content for request in service.requests}) == 1

    @pytest.mark.parametrize("status", [400, 404, 409, 429, 500])
    def test_an_answer_is_final(self, status: int) -> None:
        service = Seen(httpx.Response(status))
        with client_of(service) as client, pytest.raises(ImprimaturError):
            client.health()
        assert len(service.requests) == 1
