"""DSSE v1.0.2 envelopes: signed bytes with a type. https://github.com/secure-systems-lab/dsse

The payload stays bytes from signing to verification. `keyid` is a hint that orders the tries; it decides nothing.
Signing lives in `sdk.signing`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import Field, PlainSerializer, PlainValidator

from sdk.errors import FormatError
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.digest import Digest

PAYLOAD_TYPE_IN_TOTO = "application/vnd.in-toto+json"


def _decode_base64(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("expected base64 text")
    try:
        content = base64.b64decode(value, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"not standard base64: {exc}") from exc
    if _encode_base64(content) != value:
        raise ValueError("not standard base64: the bits after the last byte are not zero")
    return content


def _encode_base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


Base64Bytes = Annotated[
    bytes,
    PlainValidator(_decode_base64, json_schema_input_type=str),
    PlainSerializer(_encode_base64, return_type=str, when_used="json"),
]
"""Bytes in Python, standard base64 in JSON."""


class Signature(WireModel):
    """One signature over `pae(payload_type, payload)`."""

    keyid: str = Field(default="", max_length=128)
    sig: Base64Bytes


class Envelope(WireModel):
    """A signed payload. Equality and digest are over all of it, signatures included."""

    payload: Base64Bytes
    payload_type: str = Field(alias="payloadType", max_length=128)
    signatures: tuple[Signature, ...] = Field(max_length=32)

    @property
    def digest(self) -> Digest:
        """Address of the envelope's canonical bytes; what the log records."""
        return Digest.of(encode_envelope(self))


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding of DSSE protocol.md; lengths are byte lengths."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def encode_envelope(envelope: Envelope) -> bytes:
    """Canonical JSON bytes of an envelope."""
    return encode_canonical(envelope)


def parse_envelope(content: bytes) -> Envelope:
    """Read an envelope. Raises `FormatError`; proves nothing about its signatures."""
    envelope = parse_wire(Envelope, content, "envelope")
    if not envelope.signatures:
        raise FormatError("envelope carries no signature; a DSSE envelope has at least one")
    return envelope
