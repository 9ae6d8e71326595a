"""The compose grant: the registry's signed leave to make these images, once, by this application, until it expires.

It is an in-toto Statement about the manifests of its versions, in a DSSE envelope signed by a key of the role
`decision`. Whoever holds one can show what was permitted; it opens nothing by itself: artefacts are released to its
`executor` alone (`registry.generations.release`), and every act under it is counted where it is recorded.
Verifying one is `sdk.signing.grants`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.policy import Use
from sdk.spec.statements import Predicate

Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""128 random bits."""


class GrantedVersion(WireModel):
    """A version that may be used, and the terms that allow it."""

    concept: ConceptId
    number: int = Field(ge=1)
    manifest: Digest
    terms: Digest  # over its consent and licence records; see `terms_digest`


class GrantPredicate(Predicate):
    """`application` may make at most `count` images of `versions` for `use`, before `expires_at`, once."""

    predicate_type = "https://imprimatur.dev/attestations/compose-grant/v1"
    generation: RecordId
    application: PrincipalId
    executor: PrincipalId  # who draws, and is handed the artefacts: the application itself, or a rendering service
    intent: Digest  # of the recorded GenerationIntent, which holds everything that was asked
    versions: tuple[GrantedVersion, ...] = Field(min_length=1, max_length=16)
    use: Use
    count: int = Field(ge=1, le=64)
    scene: Digest
    sampling: Digest | None = None
    base_model: Digest
    decision: Digest  # of the decision of record
    policy_bundle: Digest
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    nonce: Nonce

    @property
    def manifests(self) -> tuple[Digest, ...]:
        return tuple(version.manifest for version in self.versions)
