"""The Content Credentials of a sample: a picture that was drawn in training, and stands for a version of a concept.

They say that it was generated, by which training, of which concept. The version's number is not known yet, and its manifest names
the sample's digest, so neither is in them. An image composed with the version carries them on, as its ingredient's.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from sdk.credentials.manifest_store import PNG_MEDIA_TYPE, sign_png
from sdk.credentials.mark import DIGITAL_SOURCE_TYPE, NO_MINING, encode_png, generator
from sdk.credentials.picture import read_picture
from sdk.credentials.signer import CredentialSigner
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId

SAMPLE_LABEL: Final = "dev.imprimatur.concept-sample"


class SampleOrigin(WireModel):
    """Which training drew a sample, and of what."""

    schema_: Literal["imprimatur.concept-sample/v1"] = Field(default="imprimatur.concept-sample/v1", alias="schema")
    concept: ConceptId
    job: RecordId
    base_model: Digest
    software: Annotated[str, Field(max_length=200)]


def mark_sample(content: bytes, origin: SampleOrigin, signer: CredentialSigner) -> bytes:
    """A picture as PNG with signed Content Credentials that say `origin`. Raises as `sign_png`."""
    drawn = {"action": "c2pa.created", "digitalSourceType": DIGITAL_SOURCE_TYPE, "softwareAgent": generator()}
    manifest = {
        "claim_generator_info": [generator()],
        "title": f"sample of {origin.concept}",
        "format": PNG_MEDIA_TYPE,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [drawn]}},
            NO_MINING,
            {"label": SAMPLE_LABEL, "kind": "Json", "data": origin.model_dump(mode="json", by_alias=True)},
        ],
    }
    return sign_png(encode_png(read_picture(content)), manifest, (), signer)
