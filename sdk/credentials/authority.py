"""A local certificate authority for Content Credentials, and the signing certificates that it issues on demand.

What C2PA 2.x section 14.5 asks of a signing certificate: an end entity with a critical KeyUsage digitalSignature, an
ExtendedKeyUsage, an AuthorityKeyIdentifier, and O in the subject. Keys are Ed25519. A signing certificate that is issued
here is for one key, made for it and never written down. What signs with it is `sdk.credentials.signer`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sdk.errors import ConfigurationError

AUTHORITY_FILE: Final = "ca.pem"
AUTHORITY_KEY_FILE: Final = "ca-key.pem"
AUTHORITY_LIFE: Final = timedelta(days=3650)
STAMPED_LIFE: Final = timedelta(days=1)  # of a certificate whose signatures carry a time stamp that outlives it
UNSTAMPED_LIFE: Final = timedelta(days=397)  # of one whose images are trusted no longer than it lives
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
_LeafKey = Ed25519PublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority and its key."""

    certificate: x509.Certificate
    key: Ed25519PrivateKey

    def issue(self, holder: str, public_key: _LeafKey, *, now: datetime, life: timedelta) -> str:
        """A signing certificate for `public_key`, followed by the authority's (PEM). It ends when the authority does."""
        (organization,) = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        subject = _name(str(organization.value), holder)
        ends = min(now + life, self.certificate.not_valid_after_utc)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = _certificate(subject, self.certificate.subject, public_key, now, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage("digital_signature"), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        leaf = builder.add_extension(issuer_key, critical=False).sign(self.key, None)
        return "".join(each.public_bytes(Encoding.PEM).decode() for each in (leaf, self.certificate))


def create_authority(folder: Path, *, organization: str, now: datetime) -> str:
    """Make a certificate authority in `folder`; return its certificate (PEM).

    Raises:
        ConfigurationError: files are there already; keys are never overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    certificate = _authority_certificate(key, organization, now).public_bytes(Encoding.PEM)
    _write_new(folder / AUTHORITY_KEY_FILE, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write_new(folder / AUTHORITY_FILE, certificate)
    return certificate.decode()


def load_authority(folder: Path) -> Authority:
    """Read the authority that `create_authority` wrote. Raises `ConfigurationError`."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY_FILE).read_bytes())
        key = load_pem_private_key((folder / AUTHORITY_KEY_FILE).read_bytes(), password=None)
    except OSError as exc:
        raise ConfigurationError(f"no certificate authority can be read in {folder}: {exc}") from exc
    except (ValueError, TypeError) as exc:
        raise ConfigurationError(f"{folder} holds no certificate authority: {exc}") from exc
    if not isinstance(key, Ed25519PrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigurationError(f"{folder / AUTHORITY_KEY_FILE} is not the key of {folder / AUTHORITY_FILE}")
    return Authority(certificate=certificate, key=key)


def _authority_certificate(key: Ed25519PrivateKey, organization: str, now: datetime) -> x509.Certificate:
    name = _name(organization, f"{organization} Content Credentials authority")
    builder = _certificate(name, name, key.public_key(), now, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True).sign(key, None)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: _LeafKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _BACKDATING).not_valid_after(ends)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(organization: str, common_name: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name[:64]))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _key_usage(*granted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in granted for usage in _KEY_USAGES})


def _write_new(path: Path, content: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise ConfigurationError(f"{path} exists already; keys and certificates are never overwritten") from exc
    with os.fdopen(handle, "wb") as file:
        file.write(content)
