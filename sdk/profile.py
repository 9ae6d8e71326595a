"""Profiles: who the caller is, where the services are, which keys to use. One TOML file a principal.

A profile is found through an explicit path, else `$IMPRIMATUR_PROFILE`, else `~/.config/imprimatur/profile.toml`.
Paths inside it are relative to the file. It holds a credential, so it must be readable by its owner alone.
Connecting with it is `sdk.client.connect`; nothing is read here but the one file.
"""

from __future__ import annotations

import math
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sdk.errors import ConfigurationError, FormatError
from sdk.spec.ids import PrincipalId

PROFILE_VARIABLE: Final = "IMPRIMATUR_PROFILE"
_FALLBACK: Final = Path(".config/imprimatur/profile.toml")
_REQUIRED: Final = frozenset({"registry", "principal", "credential", "trust_root"})
_PATHS: Final = frozenset(
    {"trust_root", "tuf_root", "signing_key", "content_credentials", "base_model", "ca_file", "witness_policy"}
)
_KNOWN: Final = _REQUIRED | _PATHS | {"trainer", "proxy", "timeout_seconds", "time_stamp_url"}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One principal's view of one registry. All paths are absolute."""

    path: Path
    registry: str
    principal: PrincipalId
    credential: str = field(repr=False)
    trust_root: Path
    tuf_root: Path | None = None  # with it, trust root and policies come over TUF
    trainer: str | None = None
    signing_key: Path | None = None
    content_credentials: Path | None = None
    base_model: Path | None = None
    proxy: str | None = None  # for every call; without it those of the environment hold, as httpx reads them
    ca_file: Path | None = None  # PEM certificates of who may vouch for the services, in the place of the usual ones
    time_stamp_url: str | None = None  # of an RFC 3161 authority that stamps each image's credentials
    timeout_seconds: float = 30.0  # without any sign of a service
    witness_policy: Path | None = None  # a tlog-policy: the witnesses that must have cosigned

    def need(self, name: str) -> Path:
        """The path called `name`. Raises `ConfigurationError` when the profile does not set it."""
        value: Path | None = getattr(self, name)
        if value is None:
            raise ConfigurationError(f"profile {self.path} does not set {name!r}, which this command needs")
        return value


def find_profile(explicit: Path | str | None = None, *, environment: Mapping[str, str] | None = None) -> Path:
    """The path of the profile to use; whether it exists is for `load_profile` to find out."""
    if explicit is not None:
        return Path(explicit)
    named = (os.environ if environment is None else environment).get(PROFILE_VARIABLE)
    return Path(named) if named else Path.home() / _FALLBACK


def load_profile(path: Path | str | None = None) -> Profile:
    """Read the profile at `path`, or the one that `find_profile` names.

    Raises:
        ConfigurationError: there is none, others can read it, or a member is missing, unknown or malformed.
    """
    file = find_profile(path).absolute()
    members = _read_members(file)
    unknown, missing = members.keys() - _KNOWN, _REQUIRED - members.keys()
    if unknown or missing:
        fault = f"has unknown {sorted(unknown)}" if unknown else f"lacks {sorted(missing)}"
        raise ConfigurationError(f"profile {file} {fault}; known are {', '.join(sorted(_KNOWN))}")
    seconds = members.pop("timeout_seconds", Profile.timeout_seconds)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
        raise ConfigurationError(f"profile {file}: timeout_seconds is a number above 0, found {seconds!r}")
    if not all(isinstance(value, str) and value for value in members.values()):
        raise ConfigurationError(f"profile {file}: every other value is a text that is not empty")
    try:
        principal = PrincipalId(members.pop("principal"))
    except FormatError as exc:
        raise ConfigurationError(f"profile {file}: {exc.message}") from exc
    paths = {name: file.parent / members.pop(name) for name in _PATHS & members.keys()}
    return Profile(path=file, principal=principal, timeout_seconds=float(seconds), **paths, **members)


def _read_members(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(f"profile {file} holds a credential but others may read it; chmod 600 it")
            return tomllib.load(handle)
    except OSError as exc:
        raise ConfigurationError(
            f"no profile can be read at {file}: {exc.strerror}; give --profile PATH, set ${PROFILE_VARIABLE}, "
            "or make a workspace with 'imprimatur init DIR'"
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"profile {file} is not TOML: {exc}") from exc
