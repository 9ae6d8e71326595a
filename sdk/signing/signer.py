"""Signing: the `Signer` port, the Ed25519 file signer, DSSE signing and verification.

Keys are PEM files (PKCS#8 private, SubjectPublicKeyInfo public). A key id is the lower-case hex SHA-256 of the
32 raw public-key bytes. Which keys count for what is `sdk.signing.trust`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sdk.errors import ConfigurationError, SignatureInvalid
from sdk.spec.envelope import PAYLOAD_TYPE_IN_TOTO, Envelope, Signature, pae


class Signer(Protocol):
    """Signs bytes with one key, wherever the key lives."""

    @property
    def keyid(self) -> str: ...

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""

    def sign(self, content: bytes) -> bytes:
        """A 64-byte Ed25519 signature."""


class Ed25519Signer:
    """A `Signer` over a private key in memory."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw()
        self.keyid = key_id(self.public_key)

    def sign(self, content: bytes) -> bytes:
        return self._private_key.sign(content)


def key_id(public_key: bytes) -> str:
    """The key id of 32 raw Ed25519 public-key bytes."""
    return hashlib.sha256(public_key).hexdigest()


def generate_key_file(path: Path) -> Ed25519Signer:
    """Make a new signing key at `path` with mode 0600. Raises `ConfigurationError` if a file is there."""
    private_key = Ed25519PrivateKey.generate()
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise ConfigurationError(f"a key already exists at {path}; it is never overwritten") from exc
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    return Ed25519Signer(private_key)


def load_key_file(path: Path) -> Ed25519Signer:
    """Read a signing key. Raises `ConfigurationError` naming the path and the mend."""
    try:
        private_key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        raise ConfigurationError(f"no signing key can be read at {path}: {exc.strerror}") from exc
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it is encrypted
        raise ConfigurationError(f"{path} is not an unencrypted PEM private key") from exc
    if not isinstance(private_key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} holds no Ed25519 key; 'imprimatur init' makes the keys of a workspace")
    return Ed25519Signer(private_key)


def encode_public_key(public_key: bytes) -> bytes:
    """32 raw public-key bytes as PEM."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_public_key(path: Path) -> bytes:
    """The 32 raw bytes of the Ed25519 public key in the PEM file at `path`. Raises `ConfigurationError`."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"no public key can be read at {path}: {exc.strerror}") from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigurationError(f"{path} is not a PEM public key") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(f"{path} holds no Ed25519 public key")
    return key.public_bytes_raw()


def sign_envelope(payload: bytes, signer: Signer, *, payload_type: str = PAYLOAD_TYPE_IN_TOTO) -> Envelope:
    """Sign `payload` as a DSSE envelope with one signature."""
    signature = Signature(keyid=signer.keyid, sig=signer.sign(pae(payload_type, payload)))
    return Envelope(payload=payload, payload_type=payload_type, signatures=(signature,))


def verify_signature(public_key: bytes, signature: bytes, content: bytes) -> bool:
    """Whether `signature` over `content` is by `public_key` (raw bytes). The one place that returns a flag."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def verified_keyids(envelope: Envelope, keys: Mapping[str, bytes]) -> frozenset[str]:
    """The ids of those `keys` (id to raw public key) that signed `envelope`; hints are not believed."""
    content = pae(envelope.payload_type, envelope.payload)
    return frozenset(
        keyid
        for keyid, public_key in keys.items()
        if any(verify_signature(public_key, signature.sig, content) for signature in envelope.signatures)
    )


def require_signer(envelope: Envelope, keys: Mapping[str, bytes], *, role: str) -> str:
    """Return the id of one of `keys` that signed `envelope`.

    Raises:
        SignatureInvalid: none did; `role` is named.
    """
    signed = verified_keyids(envelope, keys)
    if not signed:
        raise SignatureInvalid(f"no signature by a key trusted for {role} verifies; expected one of {len(keys)} keys")
    return min(signed)
