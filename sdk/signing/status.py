"""Signed status lists: a JWT after W3C VC-JOSE-COSE (`vc+jwt`), Ed25519 by RFC 8037. https://www.w3.org/TR/vc-jose-cose/

Only what is written here is ever signed or accepted: algorithm `EdDSA`, type `vc+jwt`, one key trusted for the role
`status`. What a list says about a version, and whether it is fresh, is step 10 of `sdk.verify`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, Literal

from sdk.errors import FormatError, SignatureInvalid
from sdk.signing.public_keys import verify_signature
from sdk.signing.signer import Signer
from sdk.signing.trust import TrustRole, TrustRoot
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.status_list import StatusList, StatusListCredential, read_credential

MAX_STATUS_LIST_BYTES: Final = 131_072  # bytes of the JWT; a list of nothing but changes packs into less


class _Header(WireModel):
    alg: Literal["EdDSA"] = "EdDSA"
    typ: Literal["vc+jwt"] = "vc+jwt"
    kid: str


def sign_status_list(credential: StatusListCredential, signer: Signer) -> bytes:
    """The credential as a compact JWT."""
    content = _base64url(encode_canonical(_Header(kid=signer.keyid))) + b"." + _base64url(encode_canonical(credential))
    return content + b"." + _base64url(signer.sign(content))


def verify_status_list(signed: bytes, trust: TrustRoot) -> StatusList:
    """Return the list if a key trusted for status signed it.

    Raises:
        FormatError: it is no status list as a JWT.
        SignatureInvalid: no trusted status key signed it; `kid` decides nothing.
    """
    if len(signed) > MAX_STATUS_LIST_BYTES or signed.count(b".") != 2:
        raise FormatError(f"expected a status list as a JWT of at most {MAX_STATUS_LIST_BYTES} bytes")
    content, _, signature = signed.rpartition(b".")
    header, _, payload = content.partition(b".")
    parse_wire(_Header, _decode(header), "status list header")
    proof = _decode(signature)
    if not any(verify_signature(key, proof, content) for key in trust.keys_for(TrustRole.STATUS).values()):
        raise SignatureInvalid("no signature by a key trusted for status verifies on the status list")
    return read_credential(parse_wire(StatusListCredential, _decode(payload), "status list"))


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _decode(part: bytes) -> bytes:
    try:
        content = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as exc:
        raise FormatError("status list is not base64url in three parts") from exc
    if _base64url(content) != part:
        raise FormatError("status list is not strict base64url")
    return content
