"""A call of the client for every route of the vocabulary, with the answer that it gets and parses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.governed import FOX, NOW, consent_evidence, consent_record, licence_evidence, licence_grant, record_id
from support.wire_values import (
    ACCEPTED,
    ALIAS,
    ANSWER,
    AT,
    BINDING,
    CONCEPT,
    CONSENT_RECEIPT,
    DIGEST,
    ERASED,
    GRANT,
    INTENT,
    ISSUED,
    JOB,
    LIFE_EVENT,
    OPENED,
    RAW,
    RECEIPT,
    RENDER,
    RENEWAL,
    REQUEST,
    RESULT,
    SAID,
    TASK,
    TO_DRAW,
    VERSION,
    VIEW,
    WEBHOOK,
    WORLD,
)

from sdk.client import Client
from sdk.spec import access, api, break_glass, recall, reminders, rendering, renewal, review, training, webhooks
from sdk.spec.consent_events import LifeEventRecorded
from sdk.spec.denials import DenialPage, DenialQuery, TrainingDenied, WantedConcept, WantedTraining
from sdk.spec.erasure import ErasureList, ErasureView, TrainingErased
from sdk.spec.explanation import ConceptAttention
from sdk.spec.identify import IdentifyAnswer, IdentifyQuery
from sdk.spec.ledger import LedgerPage, LedgerQuery
from sdk.spec.log_entry import ConsistencyProof
from sdk.spec.opening import GrownReceipt
from sdk.spec.royalty_report import RoyaltyQuery, RoyaltyReport
from sdk.spec.subjects import ConsentPage, SubjectAccepted, SubjectList, SubjectRelease
from sdk.spec.usage import UsageCount, UsageDimension, UsageQuery, UsageReport

GROWN = GrownReceipt(**dict(RECEIPT))
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
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/renewals",
        lambda c: c.request_renewal(
            FOX, 1, renewal.RenewalRequest(consents=(record_id("con"),), licences=(record_id("lic"),))
        ),
        RENEWAL,
    ),
    (
        "GET /v1/concepts/{tenant}/{name}/versions/{number}/renewals",
        lambda c: c.list_renewals(FOX, 1),
        renewal.RenewalPage(renewals=(RENEWAL,)),
    ),
    (
        "GET /v1/concepts/{tenant}/{name}/versions/{number}/renewal",
        lambda c: c.get_renewal(FOX, 1),
        WORLD.bundle(),
    ),
    (
        "POST /v1/concepts/{tenant}/{name}/versions/{number}/renewal/reviews",
        lambda c: c.review_renewal(FOX, 1, WORLD.attestation),
        RENEWAL,
    ),
    ("GET /v1/renewals", lambda c: c.list_waiting_renewals(), renewal.RenewalPage(renewals=(RENEWAL,))),
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
    ("POST /v1/generations/{id}/result", lambda c: c.record_generation(record_id("gen"), RESULT), GROWN),
    (
        "GET /v1/concepts/{tenant}/{name}/versions/{number}/blast-radius",
        lambda c: c.blast_radius(FOX, 1),
        WORLD.attestation,
    ),
    (
        "GET /v1/reminders",
        lambda c: c.list_reminders(),
        reminders.ReminderPage(
            reminders=(
                reminders.Reminder(
                    record=record_id("con"),
                    kind="of-age",
                    due_at=NOW,
                    covers=(FOX,),
                    versions=("demo/fox@1",),
                    reminded_at=NOW,
                    over=False,
                    log_index=1,
                ),
            )
        ),
    ),
    ("GET /v1/notices", lambda c: c.list_notices(), recall.NoticeList(notices=())),
    (
        "POST /v1/notices/acknowledgements",
        lambda c: c.acknowledge_notice(recall.NoticeAcknowledgement(concept=FOX, number=1)),
        RECEIPT,
    ),
    ("POST /v1/erasures", lambda c: c.erase_subject("subject-1"), ERASED),
    (
        "POST /v1/erasures/{id}/training",
        lambda c: c.confirm_training_erased(record_id("era"), TrainingErased(jobs=(record_id("job"),))),
        ErasureView(id=ERASED.id, certificate=ERASED.certificate),
    ),
    ("GET /v1/erasures", lambda c: c.list_erasures(), ErasureList(erasures=())),
    (
        f"GET /v1/policies?digest={str(DIGEST).replace(':', '%3A')}",
        lambda c: c.policies(digest=DIGEST),
        api.PolicyBundleView(digest=DIGEST, files={}),
    ),
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
        ConsistencyProof(old_size=1, new_size=2, hashes=(bytes(32),)),
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
    (
        "GET /v1/renders/{generation}/previews",
        lambda c: c.render_previews(record_id("gen")),
        rendering.RenderPreviews(previews=(rendering.RenderPreview(image=0, step=1, picture=b"p"),)),
    ),
    (
        "GET /v1/renders/{generation}/images/{position}/attention",
        lambda c: c.render_attention(record_id("gen"), 1),
        rendering.RenderAttention(concepts=(ConceptAttention(share=1, rows=1, columns=1, cells=b"x"),)),
    ),
    ("GET /v1/renders/{generation}/images/{position}", lambda c: c.render_image(record_id("gen"), 1), RAW),
    ("POST /v1/renders/{generation}/end", lambda c: c.end_render(record_id("gen")), RENDER),
]
