"""Content Credentials for tests: what they say, whose key signs, and how they are damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from support.governed import ORIGIN, record_id

from sdk.credentials.concept_use import ConceptUse, CountedApproval, UsedVersion
from sdk.credentials.signer import CredentialSigner, load_credential_signer
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId

PICTURE = Image.linear_gradient("L").convert("RGB").resize((64, 64))


def concept_use() -> ConceptUse:
    versions = tuple(
        UsedVersion(
            concept=ConceptId(f"demo/{name}"),
            number=2,
            manifest=Digest.of(name.encode()),
            consents=(Digest.of(b"consent"),),
            approvals=(CountedApproval(log_index=3), CountedApproval(log_index=4)),
        )
        for name in ("fox", "pier")
    )
    return ConceptUse(
        generation=record_id("gen"),
        versions=versions,
        policy_bundle=Digest.of(b"bundle"),
        base_model=Digest.of(b"base"),
        log_origin=ORIGIN,
        intent_index=17,
    )


def signer_of(folder: Path, *, time_stamp_url: str | None = None) -> CredentialSigner:
    """What signs for the application of the tests, now."""
    return load_credential_signer(folder, holder="demo/app", now=datetime.now(UTC), time_stamp_url=time_stamp_url)


def changed_pixels(png: bytes) -> bytes:
    """The PNG with one byte of its compressed pixels replaced, its chunk checksum mended."""

    def change(data: bytes) -> bytes:
        return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]

    return changed_chunk(png, b"IDAT", change)


def changed_chunk(png: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The PNG with the data of its first chunk of `kind` changed, length and checksum mended."""
    place = png.index(kind)
    (length,) = struct.unpack(">I", png[place - 4 : place])
    data = change(png[place + 4 : place + 4 + length])
    check = struct.pack(">I", zlib.crc32(kind + data))
    return png[: place - 4] + struct.pack(">I", len(data)) + kind + data + check + png[place + 8 + length :]


def credentials_at(address: str, picture: Image.Image, kind: str) -> bytes:
    """A PNG or JPEG whose XMP says that its Content Credentials are at `address`."""
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{address}"/></rdf:RDF></x:xmpmeta>'
    )
    content, info = io.BytesIO(), PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet)
    picture.save(content, kind, **({"pnginfo": info} if kind == "PNG" else {"xmp": packet.encode()}))
    return content.getvalue()
