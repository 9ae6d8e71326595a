"""OpenSSF Model Signing v1.0: a `model.sig` over every file of a folder, which `model_signing verify key` accepts.

The signature is a Sigstore bundle v0.3 with a DSSE envelope of an in-toto Statement v1 whose predicate lists every file
with its SHA-256 (`https://model_signing/signature/v1.0`). Keys are ECDSA P-256, because key mode takes EC keys only; such
a key says who made the folder. Who approved the version is said by the proofs inside, under the registry's trust root.
https://github.com/sigstore/model-transparency/blob/main/docs/model_signing_format.md
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sdk.errors import ConfigurationError
from sdk.export.files import ExportedFile, create_folder
from sdk.spec.canonical import encode_canonical
from sdk.spec.envelope import PAYLOAD_TYPE_IN_TOTO, pae

SIGNATURE_NAME: Final = "model.sig"
PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"


class FileSigner:
    """Signs folders with one P-256 key."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self._private_key = private_key
        self.public_pem = private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def bundle(self, payload: bytes) -> bytes:
        """The Sigstore bundle over a statement."""
        signature = self._private_key.sign(pae(PAYLOAD_TYPE_IN_TOTO, payload), ec.ECDSA(hashes.SHA256()))
        return encode_canonical(
            {
                "mediaType": BUNDLE_TYPE,
                "verificationMaterial": {
                    "publicKey": {"hint": hashlib.sha256(self.public_pem).hexdigest()},
                    "tlogEntries": [],
                },
                "dsseEnvelope": {
                    "payload": base64.b64encode(payload).decode(),
                    "payloadType": PAYLOAD_TYPE_IN_TOTO,
                    "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
                },
            }
        )


def write_signed_folder(folder: Path, name: str, files: Sequence[ExportedFile], signer: FileSigner) -> Path:
    """Write `files` into the new `folder` with a signature over all of them; returns the signature's path.

    Raises:
        InputError: the folder is there already, or cannot be made.
    """
    create_folder(folder)
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    signature = folder / SIGNATURE_NAME
    signature.write_bytes(signer.bundle(encode_file_statement(name, files)))
    return signature


def encode_file_statement(name: str, files: Sequence[ExportedFile]) -> bytes:
    """The statement about every file; its subject's digest is over their digests, in the order of their names."""
    digests = {file.name: hashlib.sha256(file.content) for file in sorted(files, key=lambda file: file.name)}
    whole = hashlib.sha256(b"".join(digest.digest() for digest in digests.values()))
    statement: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": whole.hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_NAME],
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest.hexdigest()} for path, digest in digests.items()
            ],
        },
    }
    return encode_canonical(statement)


def generate_export_key(path: Path) -> FileSigner:
    """Make a P-256 key at `path`, mode 0600, and its public key beside it. Raises `ConfigurationError` if one is there."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signer = FileSigner(private_key)
    for name, content, mode in ((path, pem, 0o600), (public_path(path), signer.public_pem, 0o644)):
        try:
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError as exc:
            raise ConfigurationError(f"a key already exists at {name}; it is never overwritten") from exc
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    return signer


def load_export_key(path: Path) -> FileSigner:
    """Read a P-256 key. Raises `ConfigurationError` naming the path and the mend."""
    try:
        private_key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        raise ConfigurationError(f"no key can be read at {path}: {exc.strerror}") from exc
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it is encrypted
        raise ConfigurationError(f"{path} is not an unencrypted PEM private key") from exc
    if not isinstance(private_key, ec.EllipticCurvePrivateKey) or not isinstance(private_key.curve, ec.SECP256R1):
        raise ConfigurationError(f"{path} holds no P-256 key; 'imprimatur export key' makes one")
    return FileSigner(private_key)


def public_path(path: Path) -> Path:
    """Where the public key of the key at `path` lies."""
    return path.with_name(f"{path.name}.pub")
