"""Where everything in a workspace folder lies, and who is who in a new one. No effects but reading `imprimatur.toml`.

DIR/imprimatur.toml        settings of registry and trainer; written last, so a folder without it is no workspace
DIR/trust-root.json        the signed trust root (canonical JSON envelope)
DIR/tuf/                   the TUF repository that distributes it; tuf/root.json is for clients
DIR/keys/                  signing keys and the key-encryption key, 0600; vault/ the other half of each data key; content-credentials/ holds the C2PA authority
DIR/profiles/              one TOML file a principal, 0600: it holds the credential
DIR/postgres/data/         the embedded database; DIR/postgres/url is its address while it runs
DIR/blobs/ pictures/ jobs/ logs/
DIR/up.pid                 locked by `imprimatur up` for as long as it lives
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sdk.errors import ConfigurationError
from sdk.signing.trust import TrustRole
from sdk.spec.policy import Role

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_REGISTRY_PORT: Final = 8700
DEFAULT_TRAINER_PORT: Final = 8701
SHIPPED_BASE_MODEL: Final = Path(__file__).resolve().parents[2] / "trainer" / "mini" / "weights" / "base"

KEY_ROLES: Final[Mapping[str, TrustRole | None]] = {
    "root": TrustRole.ROOT,
    "log": TrustRole.LOG,
    "status": TrustRole.STATUS,
    "decision": TrustRole.DECISION,
    "training-service": TrustRole.TRAINING,
    "reviewer": TrustRole.APPROVAL,
    "app": TrustRole.GENERATION,
    "auditor": TrustRole.AUDIT,
    "webhook": None,  # what is sent to subscribers; they ask the registry for its public key
    "tuf-online": None,  # signs timestamps of the TUF repository, which says itself that it may
    "trainer": None,  # signs nothing that counts: nobody approves what they trained
}
PRINCIPALS: Final[Mapping[str, frozenset[Role]]] = {
    "trainer": frozenset({Role.TRAINER, Role.OWNER}),
    "reviewer": frozenset({Role.REVIEWER}),
    "app": frozenset({Role.APP}),
    "auditor": frozenset({Role.AUDITOR}),
    "training-service": frozenset({Role.TRAINING_SERVICE}),
    "admin": frozenset({Role.ADMIN}),
    "renderer": frozenset({Role.RENDERER}),
}


@dataclass(frozen=True)
class Workspace:
    """The paths of the workspace in the folder `root`, which is absolute."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "imprimatur.toml"

    @property
    def trust_root(self) -> Path:
        return self.root / "trust-root.json"

    @property
    def tuf(self) -> Path:
        return self.root / "tuf"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def key_encryption_key(self) -> Path:
        return self.keys / "key-encryption.key"

    @property
    def key_vault(self) -> Path:
        return self.keys / "vault"

    @property
    def content_credentials(self) -> Path:
        return self.keys / "content-credentials"

    @property
    def profiles(self) -> Path:
        return self.root / "profiles"

    @property
    def database(self) -> Path:
        return self.root / "postgres" / "data"

    @property
    def database_url(self) -> Path:
        return self.root / "postgres" / "url"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pid(self) -> Path:
        return self.root / "up.pid"

    @property
    def private_folders(self) -> tuple[Path, ...]:
        """The folders that only their owner may enter."""
        return (
            self.keys,
            self.key_vault,
            self.profiles,
            self.logs,
            *(self.root / name for name in ("blobs", "pictures", "jobs")),
        )

    def key(self, name: str) -> Path:
        return self.keys / f"{name}.pem"

    def profile(self, name: str) -> Path:
        return self.profiles / f"{name}.toml"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a service listens; as text, where this machine reaches it."""

    host: str
    port: int

    def __str__(self) -> str:
        reached = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104 -- compared, not bound
        return f"http://{reached}:{self.port}"


def open_workspace(folder: Path) -> Workspace:
    """The workspace in `folder`. Raises `ConfigurationError` when there is none."""
    workspace = Workspace(folder.absolute())
    if not workspace.settings.is_file():
        raise ConfigurationError(
            f"{folder} is no workspace: it has no imprimatur.toml; make one with 'imprimatur init'"
        )
    return workspace


def trainer_address(workspace: Workspace) -> Address:
    """Where the trainer of the workspace listens; the rest of its settings are its own business."""
    try:
        table: Any = tomllib.loads(workspace.settings.read_text(encoding="utf-8")).get("trainer", {})
        host, port = table.get("host", DEFAULT_HOST), table.get("port", DEFAULT_TRAINER_PORT)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as exc:
        raise ConfigurationError(f"{workspace.settings} cannot be read: {exc}") from exc
    if not isinstance(host, str) or not isinstance(port, int):
        raise ConfigurationError(f"{workspace.settings}: [trainer] host should be a text and port a number")
    return Address(host=host, port=port)
