"""The registry's settings: one frozen object, read once from `imprimatur.toml` and the environment.

Here is every limit of the service, with its name, unit and default. Nothing else in `registry` reads the environment.

    [registry]
    host = "127.0.0.1"
    port = 8700
    database_url = ""          # empty: the PostgreSQL embedded in the workspace
    blobs = "blobs"            # a folder, or s3://..., gs://..., az://...

    [registry.oidc]            # none: credentials of the registry only; see `OidcSettings`
    issuer = "https://id.example.com"

Relative paths are relative to the file. `DATABASE_URL` in the environment wins over `database_url`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sdk.errors import ConfigurationError
from sdk.spec.ids import TenantName
from sdk.spec.policy import Role

SHIPPED_POLICIES: Final = Path(__file__).resolve().parent.parent / "policies"
_TEXTS: Final = frozenset({"host", "database_url", "blobs", "trusted_proxies", "witness_policy", "key_encryption_key"})
_PATHS: Final = frozenset(
    {
        "log_key",
        "status_key",
        "tuf",
        "tuf_key",
        "decision_key",
        "webhook_key",
        "key_vault",
        "trust_root",
        "policies",
    }
)


OIDC_ALGORITHMS: Final = frozenset(
    {"ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}
)
"""What a token may be signed with: public keys only, never a shared secret, never nothing."""


class OidcSettings(BaseModel):
    """An OpenID Connect issuer whose bearer tokens count; its users are principals of one tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str  # as its tokens say it in `iss`
    audience: str  # that its tokens for this registry have in `aud`
    tenant: TenantName
    roles: Mapping[str, tuple[Role, ...]]  # from a value of `roles_claim` to roles here
    algorithms: tuple[str, ...] = ("ES256", "EdDSA", "RS256")  # of `OIDC_ALGORITHMS`
    key_set_url: str = ""  # empty: found by discovery
    principal_claim: str = "sub"  # one that users cannot choose: it names the principal
    principals: Mapping[str, str] = Field(default_factory=dict)  # from a value of it to a name, where it is none itself
    roles_claim: str = "groups"
    leeway_seconds: int = 60  # seconds that two clocks may differ
    key_set_seconds: int = 3600  # seconds the issuer's keys are believed
    refresh_seconds: int = 30  # seconds between two fetches for a key id that is not known


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the service is told; see the module docstring for where it comes from."""

    host: str = "127.0.0.1"
    port: int = 8700
    workers: int = 1  # processes that serve the port
    database_url: str = ""  # empty: none given, the workspace's embedded server is meant
    blobs: str = "blobs"  # folder or object-store URL
    log_key: Path = Path("keys/log.pem")
    tuf: Path = Path("tuf")  # the TUF repository; one that is not there is not served
    tuf_key: Path = Path("keys/tuf-online.pem")  # signs its snapshot and timestamp
    status_key: Path = Path("keys/status.pem")
    webhook_key: Path = Path("keys/webhook.pem")  # made by whoever delivers first, where there is none
    decision_key: Path = Path("keys/decision.pem")
    key_encryption_key: str = "keys/key-encryption.key"  # a file, or hv:KEY; wraps the data keys (`key_services`)
    key_vault: Path = Path("keys/vault")  # the other half of each data key; what is erased is destroyed here
    trust_root: Path = Path("trust-root.json")
    policies: Path = SHIPPED_POLICIES
    witness_policy: str = ""  # a tlog-policy file; empty: nobody cosigns the log
    max_body_bytes: int = 2 * 1024 * 1024  # bytes; any JSON body
    max_blob_bytes: int = 64 * 1024 * 1024  # bytes; one uploaded blob
    upload_days: int = 7  # days until an upload that no version took is forgotten
    database_connections: int = 10  # connections kept open
    database_overflow: int = 10  # connections opened beyond those under load
    database_wait_seconds: int = 10  # seconds to wait for a connection or a lock, then 503
    credential_days: int = 365  # days until an issued credential expires
    console_session_minutes: int = 480  # minutes until a browser has to sign in again
    last_used_seconds: int = 60  # seconds between two notes that a credential was used
    status_ttl_seconds: int = 60  # seconds a signed status list counts; signed anew at half of it
    trust_root_seconds: int = 5  # seconds between two looks whether another trust root was put into its place
    reminder_days: int = 30  # days before a term ends, or a minor comes of age, that owners are reminded
    witness_seconds: int = 60  # seconds between two rounds to the witnesses
    grant_seconds: int = 600  # seconds an application may fetch artefacts for a permitted generation
    requests_per_second: int = 100  # requests a second of one principal, in the long run
    requests_at_once: int = 1000  # requests of one principal in a burst
    anonymous_per_second: int = 50  # requests a second from an address without a known credential
    anonymous_at_once: int = 500  # requests in a burst from there
    trusted_proxies: str = "127.0.0.1"  # whose X-Forwarded-For tells the address; commas between
    oidc: OidcSettings | None = None


def read_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the `[registry]` table of the file at `path`.

    Raises:
        ConfigurationError: no such file, not TOML, or a member that is unknown or of the wrong type; it is named.
    """
    given = dict(_registry_table(path))
    oidc = _oidc(given.pop("oidc"), path) if "oidc" in given else None
    checked: dict[str, Any] = {name: _checked(name, value, path) for name, value in given.items()}
    settings = replace(Settings(), **checked)
    settings = replace(settings, **{name: path.parent / getattr(settings, name) for name in _PATHS})
    if "://" not in settings.blobs:
        settings = replace(settings, blobs=str((path.parent / settings.blobs).absolute()))
    if not is_uri(settings.key_encryption_key):
        settings = replace(settings, key_encryption_key=str(path.parent / settings.key_encryption_key))
    if settings.witness_policy:
        settings = replace(settings, witness_policy=str(path.parent / settings.witness_policy))
    return replace(settings, oidc=oidc, database_url=environ.get("DATABASE_URL") or settings.database_url)


def is_uri(text: str) -> bool:
    """Whether a setting names something by URI, not a file; a drive letter is no scheme."""
    return re.match(r"[a-z][a-z0-9+.-]+:", text) is not None


def _registry_table(path: Path) -> Mapping[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(
            f"no settings can be read at {path}: {exc.strerror}; make a workspace with 'imprimatur init'"
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path} is not TOML: {exc}") from exc
    table = document.get("registry", {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: 'registry' should be a table, [registry]")
    return table


def _oidc(table: object, path: Path) -> OidcSettings:
    """The `[registry.oidc]` table, checked whole. Raises `ConfigurationError` naming the fault."""
    try:
        settings = OidcSettings.model_validate(table)
    except ValidationError as exc:
        fault = exc.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ConfigurationError(f"{path}: [registry.oidc] {place}: {fault['msg']}") from exc
    if unknown := set(settings.algorithms) - OIDC_ALGORITHMS or not settings.algorithms:
        raise ConfigurationError(
            f"{path}: [registry.oidc] algorithms should be some of {sorted(OIDC_ALGORITHMS)}, found {unknown}"
        )
    for address in filter(None, (settings.issuer, settings.key_set_url)):
        if not address.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ConfigurationError(f"{path}: [registry.oidc] {address} should be an https address")
    if min(settings.leeway_seconds, settings.key_set_seconds, settings.refresh_seconds) < 1:
        raise ConfigurationError(f"{path}: [registry.oidc] a number of seconds should be above 0")
    return settings


def _checked(name: str, value: object, path: Path) -> object:
    if name not in {each.name for each in fields(Settings)}:
        raise ConfigurationError(f"{path}: [registry] has no setting {name!r}; remove it or correct its name")
    if name in _TEXTS | _PATHS:
        if not isinstance(value, str):
            raise ConfigurationError(f"{path}: [registry] {name} should be a text, found {value!r}")
        return Path(value) if name in _PATHS else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{path}: [registry] {name} should be a whole number above 0, found {value!r}")
    return value
