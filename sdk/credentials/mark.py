"""Marking images: PNG with the IPTC digital source type in its XMP packet, signed with Content Credentials.

The manifest holds a `c2pa.created` action with digitalSourceType trainedAlgorithmicMedia, every concept version as an
`inputTo` ingredient of it, with the manifest of a sample of it where that has one, and the `ConceptUse` assertion. What
was drawn into a photo, or had credentials before it was marked, was opened and edited instead: that is its `parentOf`
ingredient, by digest and with the credentials it came with, and the digitalSourceType is
compositeWithTrainedAlgorithmicMedia. No thumbnails, and no network but the time-stamp authority of the signer, if it
names one. C2PA 2.x sections 11, 18.14.

Ingredients are validated without authorities when they are taken in. What C2PA notes then ("untrusted") is what it will
find ever after; noted as trusted, an image would lose its own trust when an ingredient's certificate expires.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import c2pa

from sdk.credentials.concept_use import ASSERTION_LABEL, ConceptUse, UsedVersion
from sdk.credentials.signer import CredentialSigner
from sdk.errors import ConfigurationError, ImprimaturError, InputError, VerificationError
from sdk.spec.watermark import WatermarkId

if TYPE_CHECKING:
    from PIL.Image import Image

DIGITAL_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
WATERMARK_ALGORITHM: Final = "dev.imprimatur.wm61"
PNG_MEDIA_TYPE: Final = "image/png"
_COMPRESSION: Final = 3  # of PNG; 6 takes three times as long for an eighth less
GENERATOR: Final = {"name": "imprimatur"}
_PARENT: Final = {"label": "photo", "title": "photo", "relationship": "parentOf"}
_STORE: Final = b"caBX"  # the chunk of a PNG that holds its Content Credentials
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


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A file that goes into a manifest by its digest, with the credentials that it carries."""

    described: Mapping[str, str]
    media_type: str
    content: bytes


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
        ingredients.insert(0, Ingredient(described=_PARENT, media_type=parent.media_type, content=parent.content))
    marked = sign_png(png, _manifest(use, signed, bool(parent), watermark), ingredients, signer)
    _logger.debug("marked an image of generation %s", use.generation)
    return marked


def require_readable_parent(parent: ParentPhoto) -> None:
    """Return if the photo can be a parent: without credentials, or with such as can be read, whoever signed them.

    Raises:
        InputError: its credentials are damaged or hostile.
    """
    with c2pa.Context.from_dict(_OFFLINE) as context, c2pa.Builder({}, context=context) as builder:
        _take_in(builder, Ingredient(described=_PARENT, media_type=parent.media_type, content=parent.content))


def carries_credentials(png: bytes) -> bool:
    """Whether a PNG has a chunk of Content Credentials, believable or not."""
    return any(kind == _STORE for kind in _chunks(png))


def sign_png(
    png: bytes, manifest: Mapping[str, Any], ingredients: Sequence[Ingredient], signer: CredentialSigner
) -> bytes:
    """`png` with a signed C2PA manifest in it.

    Raises:
        ConfigurationError: the chain and key cannot sign it, or its time is not stamped.
        InputError, VerificationError: the credentials of the parent, or of another ingredient, cannot be read.
        ServiceUnavailable: the key is kept elsewhere, and the service gives no signature.
    """
    target, refused = io.BytesIO(), list[ImprimaturError]()

    def sign_claim(content: bytes) -> bytes:
        try:
            return signer.sign(content)
        except ImprimaturError as exc:  # c2pa would tell that signing failed, and not why
            refused.append(exc)
            raise

    try:
        with (
            c2pa.Context.from_dict(_OFFLINE) as context,
            c2pa.Signer.from_callback(
                sign_claim, getattr(c2pa.C2paSigningAlg, signer.algorithm), signer.chain, signer.time_stamp_url
            ) as sign,
            c2pa.Builder(dict(manifest), context=context) as builder,
        ):
            for ingredient in ingredients:
                _take_in(builder, ingredient)
            builder.sign(sign, PNG_MEDIA_TYPE, io.BytesIO(png), target)
    except c2pa.C2paError as exc:
        if refused:
            raise refused[0] from exc
        stamps = f", and that {signer.time_stamp_url} answers" if signer.time_stamp_url else ""
        raise ConfigurationError(
            f"Content Credentials cannot be signed ({exc}); check the certificate chain and key of this profile{stamps}"
        ) from exc
    if signer.time_stamp_url:
        _require_time_stamp(target.getvalue(), signer.time_stamp_url)
    return target.getvalue()


def _take_in(builder: c2pa.Builder, ingredient: Ingredient) -> None:
    try:
        builder.add_ingredient(dict(ingredient.described), ingredient.media_type, io.BytesIO(ingredient.content))
    except c2pa.C2paError as exc:
        if ingredient.described is _PARENT:
            raise InputError(
                f"the photo carries Content Credentials that cannot be read ({exc}), so they cannot be kept; give a "
                "photo that is whole, or a copy saved without its metadata"
            ) from exc
        raise VerificationError(
            f"the sample of {ingredient.described['title']} carries Content Credentials that cannot be read: {exc}"
        ) from exc


def _require_time_stamp(png: bytes, url: str) -> None:
    """Without one, the image would lose its trust within a day: nothing is handed out then."""
    with (
        c2pa.Context.from_dict(_OFFLINE) as context,
        c2pa.Reader(PNG_MEDIA_TYPE, io.BytesIO(png), context=context) as reader,
    ):
        report = json.loads(reader.json())
    if not report["manifests"][report["active_manifest"]].get("signature_info", {}).get("time"):
        raise ConfigurationError(f"{url} gave no time stamp that can be read; nothing is handed out without one")


def _chunks(png: bytes) -> Iterator[bytes]:
    """The kinds of a PNG's chunks, in order."""
    place = 8  # behind the signature
    while len(kind := png[place + 4 : place + 8]) == 4:
        yield kind
        place += 12 + int.from_bytes(png[place : place + 4], "big")


def _manifest(
    use: ConceptUse, signed: Mapping[str, bytes], edited: bool, watermark: WatermarkId | None
) -> dict[str, Any]:
    described = [_described(index, version) for index, version in enumerate(use.versions)]
    drawn = {
        "action": "c2pa.edited" if edited else "c2pa.created",
        "digitalSourceType": COMPOSITE_SOURCE_TYPE if edited else DIGITAL_SOURCE_TYPE,
        "softwareAgent": GENERATOR,
        "parameters": {"ingredientIds": [each["label"] for each in described]},
    }
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT["label"]]}}
    unsigned = "application/vnd.imprimatur.concept-manifest+json"
    return {
        "claim_generator_info": [GENERATOR],
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
