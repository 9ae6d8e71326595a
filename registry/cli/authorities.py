"""Who vouches for images: authorities in the trust root, and signing certificates for applications on other machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from registry.cli.trust import replace_root
from registry.cli.workspace import Workspace
from registry.runtime import system_clock
from sdk.credentials.authority import load_authority
from sdk.credentials.signer import CHAIN_FILE, KEY_FILE
from sdk.errors import ConfigurationError, Conflict
from sdk.signing.signer import generate_key_file
from sdk.signing.trust import TrustRoot


class AuthorityUse(StrEnum):
    """What a certificate authority may vouch for."""

    CREDENTIALS = "credentials"  # who signs images
    TIME_STAMPS = "time-stamps"  # when they were signed (RFC 3161)


def add_authority(
    workspace: Workspace, pem: Path, use: AuthorityUse, root_keys: Sequence[Path] = (), proposal: Path | None = None
) -> TrustRoot:
    """Let clients believe the authority whose certificate is in the file `pem`.

    Raises:
        ConfigurationError: it is no certificate of an authority.
        Conflict: the trust root names it already.
    """
    certificate = _read_authority(pem)
    member = "credential_authorities" if use is AuthorityUse.CREDENTIALS else "time_stamp_authorities"

    def change(root: TrustRoot) -> TrustRoot:
        known = getattr(root, member) or ()
        if certificate in known:
            raise Conflict(f"the trust root names the authority in {pem} for {use.value} already")
        return root.model_copy(update={member: (*known, certificate)})

    return replace_root(workspace, change, root_keys, proposal=proposal)


def named_authorities(root: TrustRoot) -> tuple[tuple[AuthorityUse, x509.Certificate], ...]:
    """Whom the trust root lets vouch for images, and for what."""
    named = (
        (AuthorityUse.CREDENTIALS, root.credential_authorities),
        (AuthorityUse.TIME_STAMPS, root.time_stamp_authorities or ()),
    )
    return tuple((use, x509.load_pem_x509_certificate(pem.encode())) for use, pems in named for pem in pems)


def issue_signer(workspace: Workspace, holder: str, folder: Path, days: int) -> x509.Certificate:
    """Write a key and a signing certificate of the workspace's authority into `folder`; return the certificate.

    Raises:
        ConfigurationError: a key is there already, or the authority's is not in this workspace.
    """
    authority = load_authority(workspace.content_credentials)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    signer = generate_key_file(folder / KEY_FILE)
    public_key = Ed25519PublicKey.from_public_bytes(signer.public_key)
    chain = authority.issue(holder, public_key, now=system_clock(), life=timedelta(days=days))
    (folder / CHAIN_FILE).write_text(chain)
    return x509.load_pem_x509_certificate(chain.encode())


def _read_authority(pem: Path) -> str:
    """The certificate as PEM, without what else the file holds."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.read_bytes())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except OSError as exc:
        raise ConfigurationError(f"no certificate can be read at {pem}: {exc.strerror}") from exc
    except (ValueError, x509.ExtensionNotFound) as exc:
        raise ConfigurationError(f"{pem} holds no certificate of an authority (PEM)") from exc
    if not constraints.ca:
        raise ConfigurationError(f"{pem} holds a certificate that may issue no others; give its authority's")
    return certificate.public_bytes(Encoding.PEM).decode()
