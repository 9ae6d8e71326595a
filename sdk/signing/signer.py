"""Signing: the `Signer` port, the Ed25519 file signer, DSSE signing and verification.

A key file holds a private key (PEM, PKCS#8), or says where the key is kept (`sdk.signing.remote`). Public keys are
`sdk.signing.public_keys`; which keys count for what is `sdk.signing.trust`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sdk.errors import ConfigurationError
from sdk.signing.public_keys import key_id, verify_signature
from sdk.signing.remote import parse_key_reference
from sdk.spec.envelope import PAYLOAD_TYPE_IN_TOTO, Envelope, Signature, pae


class Signer(Protocol):
    """Signs bytes with one key, wherever the key lives."""

    @property
    def keyid(self) -> str: ...

    @property
    def public_key(self) -> bytes:
        """Raw bytes, of one of the two kinds of `sdk.signing.public_keys`."""

    def sign(self, content: bytes) -> bytes:
        """A signature that `verify_signature` accepts."""


class Ed25519Signer:
    """A `Signer` over a private key in memory."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw()
        self.keyid = key_id(self.public_key)

    def sign(self, content: bytes) -> bytes:
        return self._private_key.sign(content)


def generate_key_file(path: Path) -> Ed25519Signer:
    """Make a new signing key at `path` with mode 0600. Raises `ConfigurationError` if a file is there, or none can be."""
    private_key = Ed25519PrivateKey.generate()
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise ConfigurationError(f"a key already exists at {path}; it is never overwritten") from exc
    except OSError as exc:
        raise ConfigurationError(f"no key can be written to {path}: {exc.strerror}") from exc
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    return Ed25519Signer(private_key)


def load_key_file(path: Path) -> Signer:
    """The signer of a key file. Raises `ConfigurationError` naming the path and the mend."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"no signing key can be read at {path}: {exc.strerror}") from exc
    if not content.startswith(b"-----BEGIN"):
        return parse_key_reference(content, str(path))
    try:
        private_key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it is encrypted
        raise ConfigurationError(f"{path} is not an unencrypted PEM private key") from exc
    if not isinstance(private_key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} holds no Ed25519 key; 'imprimatur init' makes the keys of a workspace")
    return Ed25519Signer(private_key)


def sign_envelope(payload: bytes, signer: Signer, *, payload_type: str = PAYLOAD_TYPE_IN_TOTO) -> Envelope:
    """Sign `payload` as a DSSE envelope with one signature."""
    signature = Signature(keyid=signer.keyid, sig=signer.sign(pae(payload_type, payload)))
    return Envelope(payload=payload, payload_type=payload_type, signatures=(signature,))


def verified_keyids(envelope: Envelope, keys: Mapping[str, bytes]) -> frozenset[str]:
    """The ids of those `keys` (id to raw public key) that signed `envelope`; hints are not believed."""
    content = pae(envelope.payload_type, envelope.payload)
    return frozenset(
        keyid
        for keyid, public_key in keys.items()
        if any(verify_signature(public_key, signature.sig, content) for signature in envelope.signatures)
    )
