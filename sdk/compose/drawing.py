"""Drawing with the embeddings that came with a grant, and marking what was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sdk.compose.checking import require_learned_on
from sdk.compose.remote import OnAttention, draw_remotely
from sdk.compose.values import ComposedImage, ComposeProgress, Composer, ComposeStage, Watcher
from sdk.credentials.concept_use import ConceptUse, CountedApproval, UsedVersion
from sdk.credentials.fingerprint import fingerprints_of_output
from sdk.credentials.mark import (
    COMPOSITE_SOURCE_TYPE,
    DIGITAL_SOURCE_TYPE,
    ParentPhoto,
    encode_png,
    mark_image,
)
from sdk.credentials.signer import CredentialSigner
from sdk.credentials.watermark import embed, new_watermark_id
from sdk.errors import VerificationError
from sdk.generate.drawing import Watch, generate_images, require_readable
from sdk.generate.photo import Photo
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.scene import Scene
from sdk.generate.tokens import LearnedToken, parse_token
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GenerationGrant, GenerationIntent
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ArtefactRole
from sdk.spec.sampling import Sampling
from sdk.verify import VerifiedVersion, verify_artefact

if TYPE_CHECKING:
    from PIL.Image import Image


def load_for(
    composer: Composer, versions: Sequence[VerifiedVersion], scene: Scene, sampling: Sampling
) -> LoadedPipeline | None:
    """The base model that these versions and this scene are drawn with here; none where a service draws.

    Raises:
        SceneError: the scene or the negative prompt is longer than it reads.
        BackboneError: it cannot be loaded, or is another one than they were learned on.
    """
    if composer.base_model is None:
        return None
    loaded = load_pipeline(composer.base_model)
    require_learned_on(loaded.digest, versions, f"{composer.base_model} as it was loaded")
    vectors = {version.bundle.concept: version.manifest.embedding.vectors for version in versions}
    require_readable(loaded, scene, sampling.negative_prompt, vectors)
    return loaded


def generate_pictures(
    composer: Composer,
    loaded: LoadedPipeline | None,
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
    if loaded is None:
        return draw_remotely(composer.client, opened, versions, scene, sampling, count, watcher, on_attention)
    tokens = {version.bundle.concept: _released_token(opened, version) for version in versions}

    at = ComposeProgress(stage=ComposeStage.GENERATE, images=count, steps=sampling.steps)
    watch = Watch(
        on_step=lambda images, step: watcher.tell(replace(at, image=images.start, together=len(images), step=step)),
        on_preview=lambda image, step, preview: watcher.tell(replace(at, image=image, step=step, preview=preview)),
        preview_every=watcher.preview_every,
        on_attention=(lambda _image, maps: on_attention([each.kept for each in maps])) if on_attention else None,
    )
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
