"""Public keys as raw bytes: their ids, their PEM form, and whether a signature is by one.

Two kinds, told apart by their length and first byte:
- Ed25519 (RFC 8032): 32 bytes; its signatures are 64 bytes.
- ECDSA on P-256 with SHA-256 (FIPS 186-5), which key services and hardware modules hold: 65 bytes, the uncompressed
  point of SEC 1, 2.3.3, so they begin with 4; its signatures are DER.

A key id is the lower-case hex SHA-256 of these bytes. Which keys count for what is `sdk.signing.trust`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from sdk.errors import ConfigurationError

ED25519_BYTES: Final = 32
P256_BYTES: Final = 65
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey


def key_id(public_key: bytes) -> str:
    """The key id of the raw bytes of a public key."""
    return hashlib.sha256(public_key).hexdigest()


def is_ed25519(public_key: bytes) -> bool:
    """Whether these raw bytes are an Ed25519 key: what signed notes, status lists and webhooks are signed with."""
    return len(public_key) == ED25519_BYTES


@lru_cache(maxsize=256)
def parse_public_key(public_key: bytes) -> PublicKey:
    """The key of these raw bytes. Raises `ValueError` when they are none of the two kinds."""
    if is_ed25519(public_key):
        return Ed25519PublicKey.from_public_bytes(public_key)
    if len(public_key) != P256_BYTES:
        raise ValueError(f"a public key has {ED25519_BYTES} or {P256_BYTES} bytes, found {len(public_key)}")
    return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public_key)


def raw_public_key(key: object) -> bytes | None:
    """The raw bytes of a key of `cryptography`; none for a key of a kind that is not used here."""
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return None


def encode_public_key(public_key: bytes) -> bytes:
    """The raw bytes of a public key as PEM (SubjectPublicKeyInfo)."""
    key = parse_public_key(public_key)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_public_key(path: Path) -> bytes:
    """The raw bytes of the public key in the PEM file at `path`. Raises `ConfigurationError`."""
    try:
        return decode_public_key(path.read_bytes(), str(path))
    except OSError as exc:
        raise ConfigurationError(f"no public key can be read at {path}: {exc.strerror}") from exc


def decode_public_key(pem: bytes, place: str) -> bytes:
    """The raw bytes of a public key in PEM, with or without text before it. Raises `ConfigurationError` naming `place`."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigurationError(f"{place} is not a PEM public key") from exc
    raw = raw_public_key(key)
    if raw is None:
        raise ConfigurationError(f"{place} holds neither an Ed25519 nor an ECDSA P-256 public key")
    return raw


def verify_signature(public_key: bytes, signature: bytes, content: bytes) -> bool:
    """Whether `signature` over `content` is by `public_key` (raw bytes). The one place that returns a flag."""
    try:
        key = parse_public_key(public_key)
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, content)
        else:
            key.verify(signature, content, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
