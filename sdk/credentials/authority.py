"""A local certificate authority for Content Credentials, and the application's signing certificate under it.

What C2PA 2.x section 14.5 asks of a signing certificate: an end entity with a critical KeyUsage digitalSignature, an
ExtendedKeyUsage, an AuthorityKeyIdentifier, and O in the subject. Keys are Ed25519. A production key may live
elsewhere: `CredentialSigner` holds any `Signer`. Writing credentials into images is `sdk.credentials.mark`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sdk.errors import ConfigurationError
from sdk.signing.signer import load_key_file

AUTHORITY_FILE: Final = "ca.pem"
AUTHORITY_KEY_FILE: Final = "ca-key.pem"
CHAIN_FILE: Final = "chain.pem"  # signing certificate first, then the authority's
KEY_FILE: Final = "key.pem"
AUTHORITY_LIFE: Final = timedelta(days=3650)
SIGNER_LIFE: Final = timedelta(days=397)
_BACKDATING: Final = timedelta(minutes=5)  # for clocks that are a little behind
_KEY_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class BytesSigner(Protocol):
    """Signs bytes with one key."""

    def sign(self, content: bytes) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class CredentialSigner:
    """What signs Content Credentials: the certificate chain (PEM, leaf first) and its key, wherever that lives.

    `signer` is anything with `sign(bytes) -> bytes`: a file here, a KMS or HSM of the organisation elsewhere. The leaf says
    which algorithm it is asked for: Ed25519, or ECDSA P-256 with SHA-256, whose DER signature is put as COSE has it.
    """

    chain: str
    signer: BytesSigner

    @property
    def algorithm(self) -> str:
        """C2PA's name of the algorithm. Raises `ConfigurationError`."""
        key = x509.load_pem_x509_certificate(self.chain.encode()).public_key()
        if isinstance(key, Ed25519PublicKey):
            return "ED25519"
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            return "ES256"
        raise ConfigurationError("the signing certificate's key is neither Ed25519 nor ECDSA P-256; use one of these")

    def sign(self, content: bytes) -> bytes:
        """The signature as COSE has it."""
        signature = self.signer.sign(content)
        if self.algorithm == "ED25519":
            return signature
        return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


def create_authority(folder: Path, *, organization: str, signer_name: str, now: datetime) -> str:
    """Make a certificate authority and a signing certificate in `folder`; return the authority's certificate (PEM).

    Raises:
        ConfigurationError: files are there already; keys are never overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key, signer_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    authority_name = _name(organization, f"{organization} Content Credentials authority")
    authority = _authority_certificate(authority_key, authority_name, now)
    leaf = _signer_certificate(signer_key.public_key(), _name(organization, signer_name), authority, authority_key, now)
    certificate = authority.public_bytes(Encoding.PEM)
    _write_new(folder / AUTHORITY_KEY_FILE, _private_pem(authority_key))
    _write_new(folder / KEY_FILE, _private_pem(signer_key))
    _write_new(folder / AUTHORITY_FILE, certificate)
    _write_new(folder / CHAIN_FILE, leaf.public_bytes(Encoding.PEM) + certificate)
    return certificate.decode()


def load_credential_signer(folder: Path) -> CredentialSigner:
    """Read the signing certificate and key that `create_authority` wrote. Raises `ConfigurationError`."""
    try:
        chain = (folder / CHAIN_FILE).read_text()
        x509.load_pem_x509_certificates(chain.encode())
    except OSError as exc:
        raise ConfigurationError(f"no certificate chain can be read at {folder / CHAIN_FILE}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigurationError(f"{folder / CHAIN_FILE} is no PEM certificate chain") from exc
    return CredentialSigner(chain=chain, signer=load_key_file(folder / KEY_FILE))


def _authority_certificate(key: Ed25519PrivateKey, name: x509.Name, now: datetime) -> x509.Certificate:
    builder = _certificate(name, name, key.public_key(), now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True).sign(key, None)


def _signer_certificate(
    key: Ed25519PublicKey, name: x509.Name, authority: x509.Certificate, authority_key: Ed25519PrivateKey, now: datetime
) -> x509.Certificate:
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = _certificate(name, authority.subject, key, now, SIGNER_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage("digital_signature"), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.add_extension(issuer_key, critical=False).sign(authority_key, None)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _BACKDATING).not_valid_after(now + life)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(organization: str, common_name: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name[:64]))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _key_usage(*granted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in granted for usage in _KEY_USAGES})


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_new(path: Path, content: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise ConfigurationError(f"{path} exists already; keys and certificates are never overwritten") from exc
    with os.fdopen(handle, "wb") as file:
        file.write(content)
