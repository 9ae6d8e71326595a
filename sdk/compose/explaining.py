"""What an explanation of a compose call is made from; nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sdk.compose.values import ComposedImage, Composer
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GenerationGrant, GenerationIntent
from sdk.spec.explanation import ConceptAttention, Explanation, GenerationAttention, ImageAttention
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import LogReceipt
from sdk.trace import trace_bundle
from sdk.verify import VerifiedVersion


def keep_attention(
    generation: RecordId, images: Sequence[ComposedImage], attended: Sequence[Sequence[ConceptAttention]]
) -> GenerationAttention:
    """The maps of every image as they are kept, in the images' order."""
    return GenerationAttention(
        generation=generation,
        images=tuple(
            ImageAttention(image=image.digest, concepts=tuple(maps))
            for image, maps in zip(images, attended, strict=True)
        ),
    )


def explain_composition(
    composer: Composer,
    grant: GenerationGrant,
    intent: GenerationIntent,
    versions: Sequence[VerifiedVersion],
    receipt: LogReceipt,
    attention: GenerationAttention | None,
    trust: TrustRoot,
    now: datetime,
) -> Explanation:
    """The explanation that `sdk.explain` would give of the recorded generation; `now` is when it was decided here."""
    return Explanation(
        generation=grant.id,
        application=composer.profile.principal,
        decided_at=now,
        use=intent.use,
        decision=grant.decision,
        versions=tuple(trace_bundle(version.bundle, trust) for version in versions),
        intent_index=grant.receipt.index,
        result_index=receipt.index,
        images=attention.images if attention else (),
    )
