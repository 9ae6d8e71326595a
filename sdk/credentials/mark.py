"""Marking images: PNG with the IPTC digital source type in its XMP packet, signed with Content Credentials.

The manifest holds a `c2pa.created` action with digitalSourceType trainedAlgorithmicMedia, every concept version as an
`inputTo` ingredient of it, with the manifest of a sample of it where that has one, and the `ConceptUse` assertion. What
was drawn into a photo, or had credentials before it was marked, was opened and edited instead: that is its `parentOf`
ingredient, by digest and with the credentials it came with, and the digitalSourceType is
compositeWithTrainedAlgorithmicMedia. C2PA 2.x sections 11, 18.14. How it is signed is `sdk.credentials.manifest_store`.
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sdk.credentials.concept_use import ASSERTION_LABEL, ConceptUse, UsedVersion
from sdk.credentials.manifest_store import PNG_MEDIA_TYPE, Ingredient, carries_credentials, require_readable, sign_png
from sdk.credentials.signer import CredentialSigner
from sdk.errors import InputError
from sdk.software import software_version
from sdk.spec.watermark import WatermarkId

if TYPE_CHECKING:
    from PIL.Image import Image

DIGITAL_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
WATERMARK_ALGORITHM: Final = "dev.imprimatur.wm61"
_COMPRESSION: Final = {
    "compress_level": 1,
    "compress_type": zlib.Z_RLE,
}  # of PNG; level 6 takes four times as long for an eighth less
_PARENT: Final = {"label": "photo", "title": "photo", "relationship": "parentOf"}
_XMP: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="%s"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""

NO_MINING: Final = {  # Creator Assertions Working Group, training and data mining assertion 1.1
    "label": "cawg.training-mining",
    "data": {
        "entries": {
            f"cawg.{use}": {"use": "notAllowed"}
            for use in ("ai_inference", "ai_generative_training", "ai_training", "data_mining")
        }
    },
}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ParentPhoto:
    """The photo that an image was drawn into: its file, which goes no further than its digest and its credentials."""

    content: bytes
    media_type: str


def generator() -> dict[str, str]:
    """This software, as manifests name what made them."""
    return {"name": "imprimatur", "version": software_version()}


def encode_png(image: Image, source_type: str = DIGITAL_SOURCE_TYPE) -> bytes:
    """The PNG bytes of a picture, with the IPTC digital source type; the same picture gives the same bytes."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", _XMP % source_type)
    content = io.BytesIO()
    image.save(content, "PNG", pnginfo=info, **_COMPRESSION)
    return content.getvalue()


def mark_image(
    png: bytes,
    use: ConceptUse,
    signer: CredentialSigner,
    parent: ParentPhoto | None = None,
    *,
    samples: Mapping[str, bytes] | None = None,
    watermark: WatermarkId | None = None,
) -> bytes:
    """Return `png` with signed Content Credentials that say `use`, what photo it was drawn into, and its watermark.

    `samples` are PNG files by the name of a version: a sample's credentials become those of the version's ingredient.
    Credentials that `png` has already are kept: it is its own parent then.

    Raises:
        ConfigurationError: the chain and key cannot sign credentials; nothing is returned unsigned.
        InputError: the parent's credentials cannot be read, or both `png` and `parent` have a say in who that is.
        VerificationError: the credentials of a sample cannot be read.
    """
    if carries_credentials(png):
        if parent:
            raise InputError("the image has Content Credentials of its own and a photo as its parent; it can have one")
        parent = ParentPhoto(content=png, media_type=PNG_MEDIA_TYPE)
    signed = {name: sample for name, sample in (samples or {}).items() if carries_credentials(sample)}
    ingredients = [
        Ingredient(described=_described(index, version), media_type=PNG_MEDIA_TYPE, content=signed[version.name])
        for index, version in enumerate(use.versions)
        if version.name in signed
    ]
    if parent:
        ingredients.insert(0, _as_parent(parent))
    marked = sign_png(png, _manifest(use, signed, bool(parent), watermark), ingredients, signer)
    _logger.debug("marked an image of generation %s", use.generation)
    return marked


def require_readable_parent(parent: ParentPhoto) -> None:
    """Return if the photo can be a parent: without credentials, or with such as can be read, whoever signed them.

    Raises:
        InputError: its credentials are damaged or hostile.
    """
    require_readable(_as_parent(parent))


def _as_parent(photo: ParentPhoto) -> Ingredient:
    return Ingredient(described=_PARENT, media_type=photo.media_type, content=photo.content)


def _manifest(
    use: ConceptUse, signed: Mapping[str, bytes], edited: bool, watermark: WatermarkId | None
) -> dict[str, Any]:
    described = [_described(index, version) for index, version in enumerate(use.versions)]
    drawn = {
        "action": "c2pa.edited" if edited else "c2pa.created",
        "digitalSourceType": COMPOSITE_SOURCE_TYPE if edited else DIGITAL_SOURCE_TYPE,
        "softwareAgent": generator(),
        "parameters": {"ingredientIds": [each["label"] for each in described]},
    }
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT["label"]]}}
    unsigned = "application/vnd.imprimatur.concept-manifest+json"
    return {
        "claim_generator_info": [generator()],
        "title": str(use.generation),
        "format": PNG_MEDIA_TYPE,
        "ingredients": [each | {"format": unsigned} for each in described if each["title"] not in signed],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [opened, drawn] if edited else [drawn]}},
            NO_MINING,
            {
                "label": ASSERTION_LABEL,
                "kind": "Json",
                "data": use.model_dump(mode="json", by_alias=True, exclude_none=True),
            },
            *([_soft_binding(watermark)] if watermark else []),
        ],
    }


def _soft_binding(watermark: WatermarkId) -> dict[str, Any]:
    """By what a copy without credentials can be found. C2PA 2.x section 18.10."""
    blocks = [{"scope": {}, "value": str(watermark)}]
    return {"label": "c2pa.soft-binding", "data": {"alg": WATERMARK_ALGORITHM, "blocks": blocks}}


def _described(index: int, version: UsedVersion) -> dict[str, str]:
    return {
        "label": f"version{index}",
        "title": version.name,
        "relationship": "inputTo",
        "instance_id": version.urn,
        "description": f"concept manifest {version.manifest}",
    }
