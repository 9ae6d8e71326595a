"""The compose call: images with learned concepts, or a refusal that says why.

It reads top to bottom, and the order is the promise. Nothing is generated before every concept passed every check;
nothing is handed out that was not recorded:
1. Resolve    references to version bundles.
2. Verify     every bundle (`sdk.verify`), and that the log extends what was seen of it before.
3. Enforce    the policies here, on all concepts together.
4. Record     the intent; the registry's decision of record must permit it too.
5. Generate   with the artefacts fetched under the grant, each checked against its manifest.
6. Credential every image with signed Content Credentials.
7. Record     the result, signed. Only then are the images returned.
"""

from __future__ import annotations

import io
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sdk.cache import LogMemory
from sdk.client import Client
from sdk.credentials.authority import CredentialSigner, load_credential_signer
from sdk.credentials.concept_use import ConceptUse, CountedApproval, UsedVersion
from sdk.credentials.mark import PNG_MEDIA_TYPE, encode_png, mark_image
from sdk.errors import BackboneError, InputError, PolicyDenied, VerificationError
from sdk.generate.base_model import base_model_digest
from sdk.generate.pipeline import Sampling, generate_images, load_pipeline
from sdk.generate.scene import Scene, concept_of, name_concepts, parse_scene, plain_text
from sdk.generate.tokens import LearnedToken, parse_token
from sdk.policy.bundle import parse_bundle
from sdk.policy.cedar import CedarEngine
from sdk.policy.engine import enforce
from sdk.policy.facts import concept_facts
from sdk.profile import Profile, load_profile
from sdk.resolve import connect, current_trust_root, log_memory, resolve_references, watch_log
from sdk.signing.signer import Signer, load_key_file, sign_envelope
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GeneratedImage, GenerationGrant, GenerationIntent, GenerationResult
from sdk.spec.canonical import validate_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.log_entry import AuditEventType, LogReceipt
from sdk.spec.manifest import ArtefactRole
from sdk.spec.policy import Decision, PolicyContext, PolicyDomain, PolicyPrincipal, Use
from sdk.spec.statements import GenerationPredicate, encode_statement
from sdk.verify import VerifiedVersion, verify_artefact, verify_receipt, verify_version

if TYPE_CHECKING:
    from PIL.Image import Image


class ComposeStage(StrEnum):
    """Where a compose call is."""

    RESOLVE = "resolve"
    VERIFY = "verify"
    ENFORCE = "enforce"
    INTENT = "record-intent"
    GENERATE = "generate"
    CREDENTIAL = "credential"
    RESULT = "record-result"


@dataclass(frozen=True, kw_only=True)
class ComposeProgress:
    """How far a compose call is; `image` and `step` count from 0 and only while generating."""

    stage: ComposeStage
    image: int = 0
    images: int = 0
    step: int = 0
    steps: int = 0


OnProgress = Callable[[ComposeProgress], None]


@dataclass(frozen=True, kw_only=True)
class ComposedImage:
    """A picture, and the very file that was recorded."""

    png: bytes  # credentials included

    @property
    def image(self) -> Image:
        """The picture, decoded from the recorded file."""
        from PIL import Image

        return Image.open(io.BytesIO(self.png))

    @property
    def digest(self) -> Digest:
        return Digest.of(self.png)

    def save(self, path: Path | str) -> None:
        """Write the recorded file. Saving `image` instead would lose its credentials."""
        Path(path).write_bytes(self.png)


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What a compose call hands out."""

    images: tuple[ComposedImage, ...]
    generation_id: RecordId
    decision: Decision
    receipt: LogReceipt  # proves that the result is recorded
    versions: tuple[VerifiedVersion, ...]


@dataclass(frozen=True, kw_only=True)
class Composer:
    """Everything a compose call uses: services, keys, base model, memory, clock."""

    client: Client
    profile: Profile
    signer: Signer
    credential_signer: CredentialSigner
    base_model: Path
    memory: LogMemory
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def compose(
    concepts: Sequence[str] | Mapping[str, str],
    scene: str,
    *,
    purpose: str,
    territory: str,
    channel: str,
    count: int = 1,
    seed: int = 0,
    steps: int = 30,
    guidance: float = 5.0,
    negative_prompt: str | None = None,
    size: tuple[int, int] | None = None,
    profile: Profile | Path | None = None,
    client: Client | None = None,
    on_progress: OnProgress | None = None,
) -> Composition:
    """Generate `count` images of `scene` with approved concepts.

    `concepts` are references (`tenant/name`, or with `@number`), written in the scene as `{tenant/name}`; a mapping
    gives them short names: `{"hero": "demo/fox"}` and `{hero}`. `profile` is who composes; `client` replaces the
    connection that it describes.

    Raises:
        NotApproved: a version is not approved (any more).
        VerificationError: a proof does not hold.
        PolicyDenied: policy refuses the use; `decision` says which rule, and who can change it.
        SceneError, InputError: the scene or a number cannot be used.
    """
    names = name_concepts(concepts)
    parsed = parse_scene(scene, {name: concept_of(reference) for name, reference in names.items()})
    sampling = Sampling(
        seed=seed, steps=steps, guidance=guidance, negative_prompt=plain_text(negative_prompt or ""), size=size
    )
    use = _checked(purpose, territory, channel, count=count, seed=seed, steps=steps)
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    connection = client or connect(chosen)
    try:
        composer = _composer(chosen, connection)
        return _compose(composer, tuple(names.values()), parsed, use, sampling, count, on_progress or _silent)
    finally:
        if client is None:
            connection.close()


def _compose(
    composer: Composer,
    references: tuple[str, ...],
    scene: Scene,
    use: Use,
    sampling: Sampling,
    count: int,
    on_progress: OnProgress,
) -> Composition:
    on_progress(ComposeProgress(stage=ComposeStage.RESOLVE))
    bundles = resolve_references(composer.client, references)  # 1

    on_progress(ComposeProgress(stage=ComposeStage.VERIFY))
    now = composer.clock()
    trust = current_trust_root(composer.client, composer.profile.trust_root, now=now)
    watch = watch_log(composer.client, trust, composer.memory)
    versions = tuple(verify_version(bundle, ref=ref, trust=trust, now=now) for ref, bundle in bundles)  # 2
    for note in (note for version in versions for note in version.notes):
        watch.see(note)
    _require_base_model(composer.base_model, versions)

    on_progress(ComposeProgress(stage=ComposeStage.ENFORCE))
    policy_bundle = _enforce(composer, versions, use, now)  # 3

    on_progress(ComposeProgress(stage=ComposeStage.INTENT))
    intent = _intent(versions, scene, use, sampling, count, policy_bundle)
    grant = _open(composer, intent, trust)  # 4
    watch.see(grant.receipt.checkpoint.encode())

    on_progress(ComposeProgress(stage=ComposeStage.GENERATE, images=count, steps=sampling.steps))
    pictures = _generate(composer, grant.id, versions, scene, sampling, count, on_progress)  # 5

    on_progress(ComposeProgress(stage=ComposeStage.CREDENTIAL, images=count))
    facts = _concept_use(grant, versions, intent, trust)
    images = tuple(
        ComposedImage(png=mark_image(encode_png(picture), facts, composer.credential_signer)) for picture in pictures
    )  # 6

    on_progress(ComposeProgress(stage=ComposeStage.RESULT, images=count))
    receipt = _record(composer, grant.id, versions, images, trust)  # 7
    watch.see(receipt.checkpoint.encode())
    return Composition(
        images=images, generation_id=grant.id, decision=grant.decision, receipt=receipt, versions=versions
    )


def _composer(profile: Profile, client: Client) -> Composer:
    return Composer(
        client=client,
        profile=profile,
        signer=load_key_file(profile.need("signing_key")),
        credential_signer=load_credential_signer(profile.need("content_credentials")),
        base_model=profile.need("base_model"),
        memory=log_memory(profile),
    )


def _checked(purpose: str, territory: str, channel: str, *, count: int, seed: int, steps: int) -> Use:
    limits = {"count": (count, 1, 64), "seed": (seed, 0, 2**53 - 1 - count), "steps": (steps, 1, 1000)}
    for name, (value, lowest, highest) in limits.items():
        if not lowest <= value <= highest:
            raise InputError(f"{name} is {value}; it must lie between {lowest} and {highest}")
    return validate_wire(Use, {"purpose": purpose, "territory": territory, "channel": channel}, "use")


def _require_base_model(directory: Path, versions: Sequence[VerifiedVersion]) -> None:
    found = base_model_digest(directory)
    for version in versions:
        if version.manifest.base_model != found:
            raise BackboneError(
                f"{version.name} was learned on base model {version.manifest.base_model}, but {directory} is {found}; "
                "set base_model in the profile to the folder it was learned on"
            )


def _enforce(composer: Composer, versions: Sequence[VerifiedVersion], use: Use, now: datetime) -> Digest:
    who = composer.client.whoami()
    engine = CedarEngine(parse_bundle(composer.client.policies()))
    facts = tuple(
        concept_facts(
            concept=version.bundle.concept,
            number=version.bundle.number,
            kind=version.manifest.kind,
            status=version.bundle.status.value,
            owner=version.bundle.owner,
            trainer_of_record=version.manifest.training.requested_by,
            consents=version.bundle.consents,
            licences=version.bundle.licences,
            at=now,
        )
        for version in versions
    )
    principal = PolicyPrincipal(id=who.principal, roles=who.roles)
    context = PolicyContext(
        domain=PolicyDomain.COMPOSITION, action="compose", principal=principal, concepts=facts, use=use, at=now
    )
    return enforce(engine, context).bundle


def _intent(
    versions: Sequence[VerifiedVersion], scene: Scene, use: Use, sampling: Sampling, count: int, policy_bundle: Digest
) -> GenerationIntent:
    return GenerationIntent(
        manifests=tuple(version.digest for version in versions),
        scene=Digest.of(scene.text.encode()),
        use=use,
        count=count,
        seed=sampling.seed,
        base_model=versions[0].manifest.base_model,
        policy_bundle=policy_bundle,
        idempotency_key=secrets.token_urlsafe(24),
    )


def _open(composer: Composer, intent: GenerationIntent, trust: TrustRoot) -> GenerationGrant:
    grant = composer.client.open_generation(intent)
    if not grant.decision.permitted or grant.decision.bundle != intent.policy_bundle:
        raise PolicyDenied(
            f"the registry's decision about {grant.id} is not a permit under our policies", grant.decision
        )
    _require_entry(grant.receipt, AuditEventType.GENERATION_PERMITTED, grant.id, trust)
    return grant


def _generate(
    composer: Composer,
    generation: RecordId,
    versions: Sequence[VerifiedVersion],
    scene: Scene,
    sampling: Sampling,
    count: int,
    on_progress: OnProgress,
) -> list[Image]:
    tokens = {version.bundle.concept: _fetch_token(composer.client, generation, version) for version in versions}

    def on_step(image: int, step: int) -> None:
        on_progress(
            ComposeProgress(stage=ComposeStage.GENERATE, image=image, images=count, step=step, steps=sampling.steps)
        )

    return list(
        generate_images(load_pipeline(composer.base_model), scene, tokens, sampling, count=count, on_step=on_step)
    )


def _fetch_token(client: Client, generation: RecordId, version: VerifiedVersion) -> LearnedToken:
    embeddings = version.manifest.by_role(ArtefactRole.EMBEDDING)
    if len(embeddings) != 1:
        raise VerificationError(f"{version.name} has {len(embeddings)} embedding files; exactly one is expected")
    content = client.fetch_artefact(generation, embeddings[0].digest)
    verified = verify_artefact(embeddings[0], content, about=version.name)
    return parse_token(verified, version.manifest.embedding, version.bundle.concept)


def _concept_use(
    grant: GenerationGrant, versions: Sequence[VerifiedVersion], intent: GenerationIntent, trust: TrustRoot
) -> ConceptUse:
    return ConceptUse(
        generation=grant.id,
        versions=tuple(_used(version) for version in versions),
        policy_bundle=intent.policy_bundle,
        base_model=intent.base_model,
        log_origin=trust.log_origin,
        intent_index=grant.receipt.index,
    )


def _used(version: VerifiedVersion) -> UsedVersion:
    return UsedVersion(
        concept=ConceptId(version.bundle.concept),
        number=version.bundle.number,
        manifest=version.digest,
        consents=tuple(consent.digest for consent in version.bundle.consents),
        approvals=tuple(CountedApproval(log_index=index) for index in version.approval_indices),
    )


def _record(
    composer: Composer,
    generation: RecordId,
    versions: Sequence[VerifiedVersion],
    images: Sequence[ComposedImage],
    trust: TrustRoot,
) -> LogReceipt:
    predicate = GenerationPredicate(
        generation=generation,
        application=composer.profile.principal,
        manifests=tuple(version.digest for version in versions),
        finished_at=composer.clock(),
    )
    subjects = {f"{index}.png": image.digest for index, image in enumerate(images)}
    listed = tuple(
        GeneratedImage(digest=image.digest, media_type=PNG_MEDIA_TYPE, size=len(image.png)) for image in images
    )
    statement = sign_envelope(encode_statement(predicate, subjects=subjects), composer.signer)
    receipt = composer.client.record_generation(generation, GenerationResult(images=listed, statement=statement))
    _require_entry(receipt, AuditEventType.GENERATION_RECORDED, generation, trust)
    return receipt


def _require_entry(receipt: LogReceipt, event: AuditEventType, subject: RecordId, trust: TrustRoot) -> None:
    entry = verify_receipt(receipt, trust)
    if entry.event is not event or entry.subject != subject:
        raise VerificationError(f"the registry's receipt is not for {event.value} of {subject}; nothing is handed out")


def _silent(_progress: ComposeProgress) -> None:
    """Nobody is watching."""


class _CallableModule(ModuleType):
    """Lets `sdk.compose(...)` mean the function whichever import came first: submodules shadow names of a package."""

    __call__ = staticmethod(compose)


sys.modules[__name__].__class__ = _CallableModule
