"""The trainer's settings: one frozen object, read once from a workspace's `imprimatur.toml` and the environment.

Here is every limit of the trainer, with its name, unit and default. Nothing else in `trainer` reads the environment.

    [registry]
    database_url = ""          # empty: the PostgreSQL embedded in the workspace, its address in postgres/url

    [trainer]
    host = "127.0.0.1"
    port = 8701
    base_model = "..."         # a Stable Diffusion folder in the diffusers layout; left out: the small one that ships
    image_encoder = "..."      # a CLIP or DINOv2 folder that likeness is measured with; left out: the small one that ships,
                               # with the small base model; none with another
    device = "auto"            # "cpu", "cuda", "cuda:1"; auto: a GPU where there is one

`DATABASE_URL` in the environment wins over `database_url`. Where the registry answers is in the service's own profile.
Any limit of `TrainerSettings` may be set in [trainer].
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from sdk.errors import ConfigurationError

SHIPPED_BASE_MODEL: Final = Path(__file__).resolve().parent / "mini" / "weights" / "base"
SHIPPED_IMAGE_ENCODER: Final = SHIPPED_BASE_MODEL.with_name("image_text")
EMBEDDED_URL_FILE: Final = Path("postgres") / "url"


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """What trainer and worker are told; see the module docstring for where it comes from."""

    directory: Path  # the workspace
    database_url: str
    host: str = "127.0.0.1"
    port: int = 8701
    base_model: Path = SHIPPED_BASE_MODEL
    image_encoder: Path | None = None
    device: str = "auto"
    max_picture_bytes: int = 16 * 1024 * 1024  # bytes; one uploaded picture
    max_body_bytes: int = 256 * 1024  # bytes; one training request
    max_render_bytes: int = 1024 * 1024  # bytes; one request to draw, masks included
    render_keep_seconds: float = 3600.0  # seconds after its grant's end that images wait for their application
    whoami_seconds: float = 30.0  # seconds an answer of the registry about a credential is believed
    whoami_entries: int = 1024  # credentials remembered at once
    database_connections: int = 5  # connections kept open
    database_wait_seconds: int = 10  # seconds to wait for a connection or a lock, then 503
    progress_seconds: float = 0.5  # seconds between two rows of progress
    heartbeat_seconds: float = 5.0  # seconds between two signs of life of a worker
    stalled_seconds: float = 30.0  # seconds without one after which a worker's job is given to another
    upkeep_seconds: int = 10  # seconds between two looks for lost jobs; divides 60
    poll_seconds: float = 2.0  # seconds between two looks into the queue, beside its notifications
    retry_seconds: float = 20.0  # seconds before a job is tried again after a service was away
    max_attempts: int = 8  # attempts after which a job that never ends is given up

    @property
    def likeness_encoder(self) -> Path | None:
        """The encoder that reports measure with: the one set, or the one that the shipped base model comes with."""
        shipped = SHIPPED_IMAGE_ENCODER if self.base_model == SHIPPED_BASE_MODEL else None
        return self.image_encoder or shipped

    @property
    def pictures(self) -> Path:
        """Uploaded pictures, by tenant and digest."""
        return self.directory / "pictures"

    @property
    def jobs(self) -> Path:
        """Working folders of jobs."""
        return self.directory / "jobs"

    @property
    def service_profile(self) -> Path:
        """The training service's own profile: its credential and its key."""
        return self.directory / "profiles" / "training-service.toml"

    @property
    def renderer_profile(self) -> Path:
        """The rendering service's own profile; without it nothing is drawn here."""
        return self.directory / "profiles" / "renderer.toml"

    @property
    def own_profile(self) -> Path:
        """Who is served here: the training service, or, on a machine that only draws, the rendering service."""
        draws_alone = self.renderer_profile.exists() and not self.service_profile.exists()
        return self.renderer_profile if draws_alone else self.service_profile

    @property
    def trust_root(self) -> Path:
        """The workspace's trust root."""
        return self.directory / "trust-root.json"

    @property
    def driver_url(self) -> str:
        """The database's address for SQLAlchemy, with the psycopg driver."""
        return _with_driver(self.database_url, "postgresql+psycopg")

    @property
    def libpq_url(self) -> str:
        """The database's address as libpq reads it."""
        return _with_driver(self.database_url, "postgresql")


_FOLDERS: Final = ("base_model", "image_encoder")  # relative to the workspace; empty is left out
_OF_FILE: Final = frozenset(field.name for field in fields(TrainerSettings)) - {
    "directory",
    "database_url",
}


def read_settings(directory: Path, environ: Mapping[str, str]) -> TrainerSettings:
    """Read the settings of the workspace `directory`.

    Raises:
        ConfigurationError: no workspace, not TOML, a member that is unknown or of the wrong type, or no database yet.
    """
    directory = directory.absolute()
    path = directory / "imprimatur.toml"
    document = _read_toml(path)
    registry, trainer = _table(document, "registry", path), _table(document, "trainer", path)
    given = {
        name: _checked(name, value, path) for name, value in trainer.items() if not (name in _FOLDERS and value == "")
    }
    given |= {name: directory / given[name] for name in _FOLDERS if name in given}
    return TrainerSettings(
        directory=directory,
        database_url=environ.get("DATABASE_URL") or str(registry.get("database_url") or "") or _embedded_url(directory),
        **given,
    )


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(
            f"no settings can be read at {path}: {exc.strerror}; make a workspace with 'imprimatur init'"
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path} is not TOML: {exc}") from exc


def _table(document: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: {name!r} should be a table, [{name}]")
    return table


def _checked(name: str, value: object, path: Path) -> Any:
    if name not in _OF_FILE:
        raise ConfigurationError(f"{path}: [trainer] has no setting {name!r}; remove it or correct its name")
    kind = next(field.type for field in fields(TrainerSettings) if field.name == name)
    if kind == "str" or name in _FOLDERS:
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"{path}: [trainer] {name} should be a text, found {value!r}")
        return Path(value) if name in _FOLDERS else value
    allowed = (int, float) if kind == "float" else (int,)
    if not isinstance(value, allowed) or isinstance(value, bool) or value <= 0:
        raise ConfigurationError(f"{path}: [trainer] {name} should be a number above 0, found {value!r}")
    if name == "upkeep_seconds" and 60 % int(value):
        raise ConfigurationError(f"{path}: [trainer] upkeep_seconds should divide 60, found {value!r}")
    return value


def _embedded_url(directory: Path) -> str:
    try:
        return (directory / EMBEDDED_URL_FILE).read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ConfigurationError(
            f"the database of {directory} is not running; start it with 'imprimatur up {directory}', "
            "or set DATABASE_URL"
        ) from exc


def _with_driver(url: str, driver: str) -> str:
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise ConfigurationError("the database URL cannot be read; write postgresql://user@host/database") from exc
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"the database should be PostgreSQL, found {parsed.get_backend_name()!r}")
    return parsed.set(drivername=driver).render_as_string(hide_password=False)
