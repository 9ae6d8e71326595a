"""What signs Content Credentials: a certificate chain, its key wherever that lives, and who stamps the time.

A folder of `content_credentials` is read in this order:
1. `chain.pem` (leaf first), of another authority than this folder's: an organisation's own certificate. Its key is in
   `key.pem`, or where `key.uri` says (a KMS, HSM or Vault, as securesystemslib names them). It is renewed by whoever issued it.
2. `ca.pem` and `ca-key.pem`: a certificate is issued on the spot, for a key that is never written down. Where a time-stamp
   authority (RFC 3161) is named it lives a day, since the stamp says for ever that it lived when it signed; otherwise
   397 days, since its images are trusted no longer than it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sdk.credentials.authority import AUTHORITY_FILE, AUTHORITY_KEY_FILE, STAMPED_LIFE, UNSTAMPED_LIFE, load_authority
from sdk.errors import ConfigurationError
from sdk.signing.signer import Ed25519Signer, load_key_file

CHAIN_FILE: Final = "chain.pem"
KEY_FILE: Final = "key.pem"
KEY_URI_FILE: Final = "key.uri"


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
    time_stamp_url: str | None = (
        None  # of a time-stamp authority, which is told the digest of each claim and nothing else
    )

    @property
    def algorithm(self) -> str:
        """C2PA's name of the algorithm. Raises `ConfigurationError`."""
        key = _leaf(self.chain).public_key()
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


def load_credential_signer(
    folder: Path, *, holder: str, now: datetime, time_stamp_url: str | None = None
) -> CredentialSigner:
    """What signs as `holder`, by the rules above. Raises `ConfigurationError`."""
    if not (folder / AUTHORITY_KEY_FILE).exists() or _is_of_another(folder):
        return _stored(folder, time_stamp_url)
    key = Ed25519PrivateKey.generate()
    life = STAMPED_LIFE if time_stamp_url else UNSTAMPED_LIFE
    chain = load_authority(folder).issue(holder, key.public_key(), now=now, life=life)
    return CredentialSigner(chain=chain, signer=Ed25519Signer(key), time_stamp_url=time_stamp_url)


def _is_of_another(folder: Path) -> bool:
    """Whether there is a chain that the authority in the folder did not issue."""
    if not (folder / CHAIN_FILE).exists():
        return False
    (authority,) = _read_chain(folder / AUTHORITY_FILE)[:1]
    return _read_chain(folder / CHAIN_FILE)[0].issuer != authority.subject


def _stored(folder: Path, time_stamp_url: str | None) -> CredentialSigner:
    leaf = _read_chain(folder / CHAIN_FILE)[0]
    uri = folder / KEY_URI_FILE
    signer = _key_at(uri, leaf) if uri.exists() else load_key_file(folder / KEY_FILE)
    return CredentialSigner(chain=(folder / CHAIN_FILE).read_text(), signer=signer, time_stamp_url=time_stamp_url)


class _KeyElsewhere:
    """A key that securesystemslib reaches."""

    def __init__(self, uri: str, leaf: x509.Certificate) -> None:
        from securesystemslib.signer import Signer, SSlibKey

        self._signer = Signer.from_priv_key_uri(uri, SSlibKey.from_crypto(leaf.public_key()))

    def sign(self, content: bytes) -> bytes:
        return bytes.fromhex(self._signer.sign(content).signature)


def _key_at(path: Path, leaf: x509.Certificate) -> _KeyElsewhere:
    """The key of `leaf` where the URI in the file at `path` says: `awskms:...`, `gcpkms:...`, `azurekms:...`, `hsm:...`, `hv:...`."""
    try:
        return _KeyElsewhere(path.read_text(encoding="utf-8").strip(), leaf)
    except Exception as exc:  # each service's library raises its own
        raise ConfigurationError(f"the key that {path} names cannot be used: {exc!r}; see docs/credentials.md") from exc


def _read_chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"no certificate chain can be read at {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigurationError(f"{path} is no PEM certificate chain") from exc


def _leaf(chain: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(chain.encode())
