"""The file in which a workspace keeps its trust root."""

from __future__ import annotations

from pathlib import Path

from sdk.errors import ConfigurationError
from sdk.spec.envelope import Envelope, parse_envelope


def read_trust_root(path: Path) -> Envelope:
    """The trust root's envelope. Raises `ConfigurationError` when there is none, `FormatError` when it is none."""
    try:
        return parse_envelope(path.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"no trust root can be read at {path}: {exc.strerror}") from exc
