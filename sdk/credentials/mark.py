"""Marking images: PNG with the IPTC digital source type in its XMP packet, signed with Content Credentials.

The manifest holds a `c2pa.created` action with digitalSourceType trainedAlgorithmicMedia, every concept version as an
`inputTo` ingredient of it, and the `ConceptUse` assertion. What was drawn into a photo was opened and edited instead: the
photo is its `parentOf` ingredient, by digest and with the credentials it came with, and the digitalSourceType is
compositeWithTrainedAlgorithmicMedia. No thumbnails and no network. C2PA 2.x sections 11, 18.14.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import c2pa

from sdk.credentials.authority import CredentialSigner
from sdk.credentials.concept_use import ASSERTION_LABEL, ConceptUse, UsedVersion
from sdk.errors import ConfigurationError
from sdk.spec.watermark import WatermarkId

if TYPE_CHECKING:
    from PIL.Image import Image

DIGITAL_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
WATERMARK_ALGORITHM: Final = "dev.imprimatur.wm61"
PNG_MEDIA_TYPE: Final = "image/png"
_COMPRESSION: Final = 3  # of PNG; 6 takes three times as long for an eighth less
_GENERATOR: Final = {"name": "imprimatur"}
_PARENT: Final = {"label": "photo", "title": "photo", "relationship": "parentOf"}
_OFFLINE: Final = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}
_XMP: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="%s"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""

_NO_MINING: Final = {  # Creator Assertions Working Group, training and data mining assertion 1.1
    f"cawg.{use}": {"use": "notAllowed"}
    for use in ("ai_inference", "ai_generative_training", "ai_training", "data_mining")
}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ParentPhoto:
    """The photo that an image was drawn into: its file, which goes no further than its digest."""

    content: bytes
    media_type: str


def encode_png(image: Image, source_type: str = DIGITAL_SOURCE_TYPE) -> bytes:
    """The PNG bytes of a picture, with the IPTC digital source type; the same picture gives the same bytes."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", _XMP % source_type)
    content = io.BytesIO()
    image.save(content, "PNG", pnginfo=info, compress_level=_COMPRESSION)
    return content.getvalue()


def mark_image(
    png: bytes,
    use: ConceptUse,
    signer: CredentialSigner,
    parent: ParentPhoto | None = None,
    *,
    watermark: WatermarkId | None = None,
) -> bytes:
    """Return `png` with signed Content Credentials that say `use`, what photo it was drawn into, and its watermark.

    Raises:
        ConfigurationError: the chain and key cannot sign credentials; nothing is returned unsigned.
    """
    target = io.BytesIO()
    try:
        with (
            c2pa.Context.from_dict(_OFFLINE) as context,
            c2pa.Signer.from_callback(
                signer.sign, getattr(c2pa.C2paSigningAlg, signer.algorithm), signer.chain, None
            ) as sign,
            c2pa.Builder(_manifest(use, parent, watermark), context=context) as builder,
        ):
            if parent:
                builder.add_ingredient(_PARENT, parent.media_type, io.BytesIO(parent.content))
            builder.sign(sign, PNG_MEDIA_TYPE, io.BytesIO(png), target)
    except c2pa.C2paError as exc:
        raise ConfigurationError(
            f"Content Credentials cannot be signed ({exc}); check the certificate chain and key of this profile"
        ) from exc
    _logger.debug("marked an image of generation %s", use.generation)
    return target.getvalue()


def _manifest(use: ConceptUse, parent: ParentPhoto | None, watermark: WatermarkId | None) -> dict[str, Any]:
    labels = [f"version{index}" for index in range(len(use.versions))]
    drawn = {
        "action": "c2pa.edited" if parent else "c2pa.created",
        "digitalSourceType": COMPOSITE_SOURCE_TYPE if parent else DIGITAL_SOURCE_TYPE,
        "softwareAgent": _GENERATOR,
        "parameters": {"ingredientIds": labels},
    }
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT["label"]]}}
    return {
        "claim_generator_info": [_GENERATOR],
        "title": str(use.generation),
        "format": PNG_MEDIA_TYPE,
        "ingredients": [_ingredient(label, version) for label, version in zip(labels, use.versions, strict=True)],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [opened, drawn] if parent else [drawn]}},
            {"label": "cawg.training-mining", "data": {"entries": _NO_MINING}},
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


def _ingredient(label: str, version: UsedVersion) -> dict[str, str]:
    return {
        "label": label,
        "title": version.name,
        "relationship": "inputTo",
        "instance_id": version.urn,
        "format": "application/vnd.imprimatur.concept-manifest+json",
        "description": f"concept manifest {version.manifest}",
    }
