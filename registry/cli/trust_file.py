"""The files of a trust root: the one in a workspace, and a proposal for the next on its way from holder to holder."""

from __future__ import annotations

from pathlib import Path

from registry.distribution.proposal import TrustProposal
from sdk.errors import ConfigurationError
from sdk.local_files import replace_file
from sdk.signing.public_keys import load_public_key
from sdk.signing.signer import load_key_file
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.envelope import Envelope, parse_envelope


def read_trust_root(path: Path) -> Envelope:
    """The trust root's envelope. Raises `ConfigurationError` when there is none, `FormatError` when it is none."""
    return parse_envelope(_read(path, "trust root"))


def read_proposal(path: Path) -> TrustProposal:
    """A proposal. Raises `ConfigurationError` when there is none, `FormatError` when it is none."""
    return parse_wire(TrustProposal, _read(path, "proposal"), "proposal")


def write_proposal(path: Path, proposal: TrustProposal, *, over: bool) -> None:
    """Write a proposal, in the place of its former self or where nothing is. Raises `ConfigurationError`."""
    if not over and path.exists():
        raise ConfigurationError(f"there is a file at {path} already; a proposal is never written over another")
    replace_file(path, encode_canonical(proposal), mode=0o644)


def public_key_of(path: Path) -> bytes:
    """The raw public key in a file of either half of a key. Raises `ConfigurationError`."""
    private = b"PRIVATE KEY-----" in _read(path, "key")
    return load_key_file(path).public_key if private else load_public_key(path)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"no {what} can be read at {path}: {exc.strerror}") from exc
