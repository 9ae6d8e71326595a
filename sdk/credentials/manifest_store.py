"""Putting a signed C2PA manifest into a PNG: ingredients with the credentials they carry, the signature, its time stamp.

What a manifest says is `sdk.credentials.mark` and `sample`. There are no thumbnails, and no network but the time-stamp
authority of the signer, if it names one.

Ingredients are validated without authorities when they are taken in. What C2PA notes then ("untrusted") is what it will
find ever after; noted as trusted, an image would lose its own trust when an ingredient's certificate expires.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import c2pa

from sdk.credentials.signer import CredentialSigner
from sdk.errors import ConfigurationError, ImprimaturError, InputError, ServiceUnavailable, VerificationError

PNG_MEDIA_TYPE: Final = "image/png"
_STORE: Final = b"caBX"  # the chunk of a PNG that holds its Content Credentials
_OFFLINE: Final = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A file that goes into a manifest by its digest, with the credentials that it carries."""

    described: Mapping[str, str]
    media_type: str
    content: bytes


def carries_credentials(png: bytes) -> bool:
    """Whether a PNG has a chunk of Content Credentials, believable or not."""
    return any(kind == _STORE for kind in _chunks(png))


def require_readable(ingredient: Ingredient) -> None:
    """Return if the file can be taken in: without credentials, or with such as can be read, whoever signed them.

    Raises:
        InputError, VerificationError: its credentials are damaged or hostile; as a parent's, or as another's.
    """
    with c2pa.Context.from_dict(_OFFLINE) as context, c2pa.Builder({}, context=context) as builder:
        _take_in(builder, ingredient)


def sign_png(
    png: bytes, manifest: Mapping[str, Any], ingredients: Sequence[Ingredient], signer: CredentialSigner
) -> bytes:
    """`png` with a signed C2PA manifest in it.

    Raises:
        ConfigurationError: the chain and key cannot sign it.
        InputError, VerificationError: the credentials of the parent, or of another ingredient, cannot be read.
        ServiceUnavailable: the key is kept elsewhere, or its time is to be stamped, and that service does not answer.
    """
    refused = list[ImprimaturError]()

    def sign_claim(content: bytes) -> bytes:
        try:
            return signer.sign(content)
        except ImprimaturError as exc:  # c2pa would tell that signing failed, and not why
            refused.append(exc)
            raise

    def embed(time_stamp_url: str | None) -> bytes:
        target = io.BytesIO()
        algorithm = getattr(c2pa.C2paSigningAlg, signer.algorithm)
        with (
            c2pa.Context.from_dict(_OFFLINE) as context,
            c2pa.Signer.from_callback(sign_claim, algorithm, signer.chain, time_stamp_url) as sign,
            c2pa.Builder(dict(manifest), context=context) as builder,
        ):
            for ingredient in ingredients:
                _take_in(builder, ingredient)
            builder.sign(sign, PNG_MEDIA_TYPE, io.BytesIO(png), target)
        return target.getvalue()

    try:
        signed = embed(signer.time_stamp_url)
    except c2pa.C2paError as exc:
        if refused:
            raise refused[0] from exc
        if signer.time_stamp_url:
            _blame(embed, signer.time_stamp_url, exc)
        raise ConfigurationError(
            f"Content Credentials cannot be signed ({exc}); check the certificate chain and key of this profile"
        ) from exc
    if signer.time_stamp_url:
        _require_time_stamp(signed, signer.time_stamp_url)
    return signed


def _blame(embed: Callable[[str | None], bytes], url: str, fault: c2pa.C2paError) -> None:
    """Raise `ServiceUnavailable` if what fails with a time stamp does not fail without; c2pa does not tell the two apart."""
    try:
        embed(None)
    except (c2pa.C2paError, ImprimaturError):
        return
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigurationError(f"time_stamp_url is {url!r}; it begins with https:// or http://") from fault
    raise ServiceUnavailable(f"{url} gives no time stamp ({fault}); nothing is handed out without one") from fault


def _take_in(builder: c2pa.Builder, ingredient: Ingredient) -> None:
    try:
        builder.add_ingredient(dict(ingredient.described), ingredient.media_type, io.BytesIO(ingredient.content))
    except c2pa.C2paError as exc:
        if ingredient.described["relationship"] == "parentOf":
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
        raise ServiceUnavailable(f"{url} gave no time stamp that can be read; nothing is handed out without one")


def _chunks(png: bytes) -> Iterator[bytes]:
    """The kinds of a PNG's chunks, in order."""
    place = 8  # behind the signature
    while len(kind := png[place + 4 : place + 8]) == 4:
        yield kind
        place += 12 + int.from_bytes(png[place : place + 4], "big")
