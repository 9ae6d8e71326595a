"""What the registry records, and its answers held to it: a refusal, the intent, the result."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from sdk.cache import LogWatch
from sdk.compose.grant import Enforced, RefusedHere, require_grant_of, require_same_decision
from sdk.compose.values import ComposedImage, Composer
from sdk.credentials.manifest_store import PNG_MEDIA_TYPE
from sdk.errors import ImprimaturError, PolicyDenied, VerificationError
from sdk.generate.scene import Scene
from sdk.signing.receipts import verify_receipt
from sdk.signing.signer import sign_envelope
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GeneratedImage, GenerationGrant, GenerationIntent, GenerationResult
from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.explanation import GenerationAttention
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.log_entry import AuditEventType, LogReceipt
from sdk.spec.money import Money
from sdk.spec.opening import OpeningQuery, RecordingQuery
from sdk.spec.sampling import Sampling
from sdk.spec.statements import GenerationPredicate, encode_statement
from sdk.verify import VerifiedVersion, terms_of

_logger = logging.getLogger(__name__)


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
