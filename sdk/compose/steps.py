"""The steps of a compose call, one function each; their order is `sdk.compose.call`.

Each does one thing and raises when it cannot: nothing here decides to go on after a failure.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sdk.cache import LogWatch, StatusWatch
from sdk.compose.grant import Enforced, RefusedHere, require_grant_of, require_same_decision
from sdk.compose.premises import Premises
from sdk.compose.remote import OnAttention, draw_remotely
from sdk.compose.values import ComposedImage, ComposeProgress, Composer, ComposeStage, Watcher
from sdk.credentials.concept_use import ConceptUse, CountedApproval, UsedVersion
from sdk.credentials.fingerprint import fingerprints_of_output
from sdk.credentials.manifest_store import PNG_MEDIA_TYPE
from sdk.credentials.mark import (
    COMPOSITE_SOURCE_TYPE,
    DIGITAL_SOURCE_TYPE,
    ParentPhoto,
    encode_png,
    mark_image,
)
from sdk.credentials.signer import CredentialSigner
from sdk.credentials.watermark import embed, new_watermark_id
from sdk.errors import BackboneError, ImprimaturError, PolicyDenied, VerificationError
from sdk.generate.base_model import base_model_digest
from sdk.generate.drawing import Watch, generate_images
from sdk.generate.photo import Photo
from sdk.generate.pipeline import load_pipeline
from sdk.generate.scene import Scene
from sdk.generate.tokens import LearnedToken, parse_token
from sdk.policy.engine import enforce
from sdk.resolve import StatusLists
from sdk.signing.receipts import verify_receipt
from sdk.signing.signer import sign_envelope
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GeneratedImage, GenerationGrant, GenerationIntent, GenerationResult
from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.explanation import GenerationAttention
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.log_entry import AuditEventType, LogReceipt
from sdk.spec.manifest import ArtefactRole
from sdk.spec.money import Money
from sdk.spec.opening import OpeningQuery, RecordingQuery
from sdk.spec.policy import Use
from sdk.spec.sampling import Sampling
from sdk.spec.statements import GenerationPredicate, encode_statement
from sdk.verify import VerifiedVersion, terms_of, verify_artefact, verify_live

if TYPE_CHECKING:
    from PIL.Image import Image

_logger = logging.getLogger(__name__)


def require_live(composer: Composer, versions: Sequence[VerifiedVersion], trust: TrustRoot) -> None:
    """Refuse versions that ended since they were verified. A status list that is fresh still is believed once more."""
    lists, statuses = StatusLists(composer.client, trust), StatusWatch(composer.memory)
    for version in versions:
        if version.live_until and composer.clock() < version.live_until:
            continue
        signed = lists.of(version.bundle)
        statuses.see(verify_live(version, signed, trust=trust, now=composer.clock()))


def require_base_model(composer: Composer, versions: Sequence[VerifiedVersion]) -> PrincipalId | None:
    """Who draws in our place, if not this process; refuse versions that were learned on another base model than theirs."""
    renderer = None if composer.base_model else composer.client.renderer()
    found = renderer.base_model if renderer else base_model_digest(composer.local_base_model)
    where = f"the rendering service {renderer.principal}" if renderer else str(composer.base_model)
    _require_learned_on(found, versions, where)
    return renderer.principal if renderer else None


def _require_learned_on(found: Digest, versions: Sequence[VerifiedVersion], where: str) -> None:
    for version in versions:
        if version.manifest.base_model != found:
            raise BackboneError(
                f"{version.name} was learned on base model {version.manifest.base_model}, but {where} has {found}; "
                "compose where the one it was learned on is (base_model in the profile)"
            )


def enforce_policy(
    premises: Premises, versions: Sequence[VerifiedVersion], use: Use, count: int, now: datetime
) -> Enforced:
    """Decide here, on all concepts together, by the registry's bundle. Raises `RefusedHere`."""
    engine, asker = premises.engine, premises.asker
    enforced = Enforced(engine=engine, asker=asker, versions=tuple(versions), use=use, count=count)
    try:
        enforce(engine, enforced.context(now))
    except PolicyDenied as exc:
        raise RefusedHere(exc, enforced) from exc
    return enforced


def report_refusal(composer: Composer, refused: RefusedHere, scene: Scene, sampling: Sampling) -> None:
    """Ask the registry too, which refuses and records it: so it is in the ledger that subjects read. Nothing is drawn, whatever it says."""
    try:
        composer.client.open_generation(make_intent(composer, refused.enforced, scene, sampling, executor=None))
    except PolicyDenied:
        refused.on_record = True
    except ImprimaturError as exc:
        _logger.warning("a refusal could not be put on record: %s", exc.message)
    else:
        _logger.warning("the registry permits what policy refuses here; its grant is not used")


def make_intent(
    composer: Composer, enforced: Enforced, scene: Scene, sampling: Sampling, executor: PrincipalId | None
) -> GenerationIntent:
    """What is about to be generated. The scene itself stays here; its digest is recorded."""
    intent = GenerationIntent(
        manifests=tuple(version.digest for version in enforced.versions),
        scene=Digest.of(scene.text.encode()),
        use=enforced.use,
        count=enforced.count,
        seed=sampling.seed,
        sampling=sampling.digest,
        executor=executor,
        base_model=enforced.versions[0].manifest.base_model,
        policy_bundle=enforced.engine.bundle_digest,
        idempotency_key=composer.key.text,
    )
    return composer.key.fitting(intent)


def open_generation(
    composer: Composer,
    intent: GenerationIntent,
    references: Sequence[str],
    enforced: Enforced,
    trust: TrustRoot,
    log: LogWatch,
) -> GenerationGrant:
    """Record the intent, and require the registry's own permit: logged, signed, and the one that follows from the facts.

    It must mean by `references` what we do, and its log must have grown from what was seen of it.
    """
    query = OpeningQuery(
        since=log.size,
        meant=tuple(references),
        terms=tuple(terms_of(version.bundle) for version in enforced.versions),
        release=intent.executor is None,
    )
    opened = composer.client.open_generation(intent, query)
    composer.key.permitted = intent
    require_same_decision(opened, enforced, now=composer.clock())
    evidence = {
        "intent": intent,
        "decision": opened.decision,
        "context": opened.context,
        "grant": opened.grant,
    }
    _require_entry(composer, opened.receipt, AuditEventType.GENERATION_PERMITTED, opened.id, evidence, trust)
    require_grant_of(opened, intent, composer.profile.principal, trust, now=composer.clock())
    log.see(opened.receipt.checkpoint.encode(), opened.growth)
    return opened


def generate_pictures(
    composer: Composer,
    opened: GenerationGrant,
    versions: Sequence[VerifiedVersion],
    scene: Scene,
    sampling: Sampling,
    count: int,
    photo: Photo | None,
    watcher: Watcher,
    on_attention: OnAttention | None,
) -> list[Image]:
    """Draw: here, with each version's embedding as it came with the grant, checked, or by the rendering service."""
    if composer.base_model is None:
        return draw_remotely(composer.client, opened, versions, scene, sampling, count, watcher, on_attention)
    tokens = {version.bundle.concept: _released_token(opened, version) for version in versions}

    at = ComposeProgress(stage=ComposeStage.GENERATE, images=count, steps=sampling.steps)
    watch = Watch(
        on_step=lambda images, step: watcher.tell(replace(at, image=images.start, together=len(images), step=step)),
        on_preview=lambda image, step, preview: watcher.tell(replace(at, image=image, step=step, preview=preview)),
        preview_every=watcher.preview_every,
        on_attention=(lambda _image, maps: on_attention([each.kept for each in maps])) if on_attention else None,
    )
    loaded = load_pipeline(composer.base_model)
    _require_learned_on(loaded.digest, versions, f"{composer.base_model} as it was loaded")
    return list(generate_images(loaded, scene, tokens, sampling, count=count, watch=watch, photo=photo))


def _released_token(opened: GenerationGrant, version: VerifiedVersion) -> LearnedToken:
    embeddings = version.manifest.by_role(ArtefactRole.EMBEDDING)
    if len(embeddings) != 1:
        raise VerificationError(f"{version.name} has {len(embeddings)} embedding files; exactly one is expected")
    content = {artefact.digest: artefact.content for artefact in opened.released or ()}.get(embeddings[0].digest)
    if content is None:
        raise VerificationError(f"the registry's grant {opened.id} came without the embedding of {version.name}")
    verified = verify_artefact(embeddings[0], content, about=version.name)
    return parse_token(verified, version.manifest.embedding, version.bundle.concept)


def concept_use(
    composer: Composer,
    grant: GenerationGrant,
    versions: Sequence[VerifiedVersion],
    intent: GenerationIntent,
    trust: TrustRoot,
) -> ConceptUse:
    """What the credentials of every image will say."""
    return ConceptUse(
        generation=grant.id,
        versions=tuple(_used(version) for version in versions),
        policy_bundle=intent.policy_bundle,
        base_model=intent.base_model,
        log_origin=trust.log_origin,
        intent_index=grant.receipt.index,
        decision=Digest.of(encode_canonical(grant.decision)),
        receipt=f"{composer.profile.registry.rstrip('/')}/v1/log/receipts/{grant.receipt.index}",
    )


def mark_picture(
    picture: Image, use: ConceptUse, signer: CredentialSigner, photo: Photo | None, samples: Mapping[str, bytes]
) -> ComposedImage:
    """The picture as it is handed out: with a watermark where it carries one, and with its credentials.

    One that was drawn into a photo says so, and names it as its parent. `samples` bring the versions' own credentials.
    """
    watermark = new_watermark_id()
    marked = embed(picture, watermark)
    held, pixels = watermark if marked else None, marked or picture
    source = COMPOSITE_SOURCE_TYPE if photo else DIGITAL_SOURCE_TYPE
    parent = ParentPhoto(content=photo.content, media_type=photo.media_type) if photo else None
    png = mark_image(encode_png(pixels, source), use, signer, parent, samples=samples, watermark=held)
    return ComposedImage(png=png, fingerprints=fingerprints_of_output(pixels), watermark=held)


def _used(version: VerifiedVersion) -> UsedVersion:
    return UsedVersion(
        concept=ConceptId(version.bundle.concept),
        number=version.bundle.number,
        manifest=version.digest,
        consents=tuple(consent.digest for consent in version.bundle.consents),
        approvals=tuple(CountedApproval(log_index=index) for index in version.approval_indices),
        break_glass=version.break_glass.log_index if version.break_glass else None,
    )


def record_result(
    composer: Composer,
    generation: RecordId,
    versions: Sequence[VerifiedVersion],
    images: Sequence[ComposedImage],
    attention: GenerationAttention | None,
    fee: Money | None,
    trust: TrustRoot,
    log: LogWatch,
) -> LogReceipt:
    """Record the digests of the images, and the fee if one is charged, with the application's signature; return the proof that it is logged."""
    predicate = GenerationPredicate(
        generation=generation,
        application=composer.profile.principal,
        manifests=tuple(version.digest for version in versions),
        finished_at=composer.clock(),
        fee=fee,
    )
    subjects = {f"{index}.png": image.digest for index, image in enumerate(images)}
    listed = tuple(
        GeneratedImage(
            digest=image.digest,
            media_type=PNG_MEDIA_TYPE,
            size=len(image.png),
            fingerprints=image.fingerprints,
            watermark=image.watermark,
        )
        for image in images
    )
    statement = sign_envelope(encode_statement(predicate, subjects=subjects), composer.signer)
    result = GenerationResult(images=listed, statement=statement, attention=attention.digest if attention else None)
    receipt = composer.client.record_generation(generation, result, RecordingQuery(since=log.size))
    _require_entry(composer, receipt, AuditEventType.GENERATION_RECORDED, generation, {"result": result}, trust)
    log.see(receipt.checkpoint.encode(), receipt.growth)
    return receipt.alone


def _require_entry(
    composer: Composer,
    receipt: LogReceipt,
    event: AuditEventType,
    subject: RecordId,
    evidence: Mapping[str, WireModel],
    trust: TrustRoot,
) -> None:
    """The receipt must be for this very act, or an old or a foreign answer could stand in for it."""
    entry = verify_receipt(receipt, trust)
    if (entry.event, entry.subject, entry.actor) != (event, subject, composer.profile.principal):
        raise VerificationError(f"the registry's receipt is not for {event.value} of {subject}; nothing is handed out")
    for name, value in evidence.items():
        if entry.evidence.get(name) != Digest.of(encode_canonical(value)):
            raise VerificationError(
                f"the registry's receipt for {subject} is about another {name} than ours; nothing is handed out"
            )
