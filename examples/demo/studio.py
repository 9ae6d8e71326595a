"""Where the demo happens: what its steps ask of the place, and the real place, a workspace whose services run beside us."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sdk.client import Client
from sdk.profile import Profile, load_profile
from sdk.resolve import connect

_COMMAND = Path(sys.executable).with_name("imprimatur")


class Studio(Protocol):
    """Registry, trainer, and people with a profile each. Roles are trainer, reviewer, app and auditor."""

    def profile(self, role: str) -> Profile:
        """Who `role` is."""
        ...

    def client(self, role: str) -> Client:
        """A connection of `role`; the caller closes it."""
        ...

    def command(self, *words: str, role: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `imprimatur WORDS`, as `role` if one is named, and return how it ended and what it printed."""
        ...


@dataclass(frozen=True)
class WorkspaceStudio:
    """A workspace made by `imprimatur init`, its services started by `imprimatur up`."""

    workspace: Path

    def profile(self, role: str) -> Profile:
        return load_profile(self._profile_path(role))

    def client(self, role: str) -> Client:
        return connect(self.profile(role))

    def command(self, *words: str, role: str | None = None) -> subprocess.CompletedProcess[str]:
        as_role = ("--profile", str(self._profile_path(role))) if role else ()
        return subprocess.run([str(_COMMAND), *words, *as_role], capture_output=True, text=True, check=False)

    def _profile_path(self, role: str) -> Path:
        return self.workspace / "profiles" / f"{role}.toml"
