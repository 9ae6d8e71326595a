"""What signs Content Credentials: a certificate chain, its key wherever that lives, and who stamps the time.

A folder of `content_credentials` is read in this order:
1. `chain.pem` (leaf first) of another authority than this folder's: an organisation's own certificate. `key.pem` holds its key,
   or says where that is kept (`sdk.signing.remote`). It is renewed by whoever issued it.
2. `ca.pem` and `ca-key.pem`: a certificate is issued on the spot, for a key that is never written down and that a process
   keeps for an hour at most. Where a time-stamp authority (RFC 3161) is named it lives a day, since the stamp goes on saying
   that it lived when it signed; otherwise 397 days, since its images are trusted no longer than it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
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

    @cached_property
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
    written = tuple(_written(folder / name) for name in (AUTHORITY_FILE, AUTHORITY_KEY_FILE))
    return _issued(folder, written, holder, now.replace(minute=0, second=0, microsecond=0), time_stamp_url)


@lru_cache(maxsize=8)
def _issued(
    folder: Path, written: tuple[int, ...], holder: str, since: datetime, time_stamp_url: str | None
) -> CredentialSigner:
    """One for the hour that begins at `since`, as long as the authority's files are those `written` then."""
    key = Ed25519PrivateKey.generate()
    life = STAMPED_LIFE if time_stamp_url else UNSTAMPED_LIFE
    chain = load_authority(folder).issue(holder, key.public_key(), now=since, life=life)
    return CredentialSigner(chain=chain, signer=Ed25519Signer(key), time_stamp_url=time_stamp_url)


def _written(path: Path) -> int:
    try:
        return path.stat().st_ctime_ns
    except OSError as exc:
        raise ConfigurationError(f"no certificate authority can be read at {path}: {exc.strerror}") from exc


def _is_of_another(folder: Path) -> bool:
    """Whether there is a chain that the authority in the folder did not issue."""
    if not (folder / CHAIN_FILE).exists():
        return False
    (authority,) = _read_chain(folder / AUTHORITY_FILE)[:1]
    return _read_chain(folder / CHAIN_FILE)[0].issuer != authority.subject


def _stored(folder: Path, time_stamp_url: str | None) -> CredentialSigner:
    if not (folder / CHAIN_FILE).exists():
        raise ConfigurationError(
            f"nothing in {folder} can sign Content Credentials: put {CHAIN_FILE} and {KEY_FILE} there, as 'imprimatur "
            f"trust issue-signer' makes them, or {AUTHORITY_FILE} and {AUTHORITY_KEY_FILE}"
        )
    _read_chain(folder / CHAIN_FILE)
    chain, signer = (folder / CHAIN_FILE).read_text(), load_key_file(folder / KEY_FILE)
    return CredentialSigner(chain=chain, signer=signer, time_stamp_url=time_stamp_url)


def _read_chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"no certificate chain can be read at {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigurationError(f"{path} is no PEM certificate chain") from exc


def _leaf(chain: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(chain.encode())
