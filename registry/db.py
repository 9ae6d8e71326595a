"""The database: declarative base, column types, engine, migrations. PostgreSQL only, through psycopg 3.

No tables here: each slice has its own `tables.py`. Sessions are opened by `registry.runtime`, at the edge.
Every value comes out of the database as the type it went in: digests as `Digest`, times as aware UTC `datetime`.
"""

from __future__ import annotations

import functools
import select
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DateTime, Dialect, Engine, MetaData, String, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, OperationalError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator

from sdk.errors import ConfigurationError
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PatternedText, PrincipalId, RecordId, TenantName

PING_AFTER_SECONDS: Final = 60.0
"""A connection that was idle for longer is asked whether it still stands before it is used; one that says something unasked is, too."""
MIGRATIONS: Final = Path(__file__).resolve().parent.parent / "migrations"
NAMING_CONVENTION: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

_IDLE_SINCE: Final = "registry.idle_since"
_Text = TypeVar("_Text", bound=PatternedText)


class UtcDateTime(TypeDecorator[datetime]):
    """`timestamptz`; refuses naive times on the way in, gives UTC on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time without a zone is never stored: {value!r}")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


class TextOf(TypeDecorator[_Text]):
    """`varchar` that comes out as its `PatternedText` class: `mapped_column(TextOf(ConceptId))`."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[_Text]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: _Text | None, dialect: Dialect) -> str | None:
        return None if value is None else str(self.kind(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> _Text | None:
        return None if value is None else self.kind(value)


class Base(DeclarativeBase):
    """Base of every row class; `Mapped[Digest]` and the like choose their column type by themselves."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {
        datetime: UtcDateTime(),
        Digest: TextOf(Digest),
        ConceptId: TextOf(ConceptId),
        PrincipalId: TextOf(PrincipalId),
        RecordId: TextOf(RecordId),
        TenantName: TextOf(TenantName),
    }


def make_engine(url: str, *, connections: int = 10, overflow: int = 10, wait_seconds: int = 10) -> Engine:
    """An engine for `postgresql://...`; it connects on first use, and anew after the server came back.

    Raises:
        ConfigurationError: the URL is not a PostgreSQL URL; its password is not repeated.
    """
    waits = f"-c lock_timeout={wait_seconds}s -c idle_in_transaction_session_timeout=120s -c timezone=UTC"
    engine = create_engine(
        driver_url(url),
        pool_size=connections,
        max_overflow=overflow,
        pool_timeout=wait_seconds,
        connect_args={"connect_timeout": wait_seconds, "options": waits},
    )
    _ping_idle_connections(engine)
    return engine


def _ping_idle_connections(engine: Engine) -> None:
    """What `pool_pre_ping` does, without a round trip for a connection that worked lately and that nobody closed since."""

    def note(connection: Any, record: Any, *_: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    def ping(connection: Any, record: Any, _: Any) -> None:
        try:
            if time.monotonic() - record.info[_IDLE_SINCE] > PING_AFTER_SECONDS or _has_spoken(connection):
                engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as exc:
            raise DisconnectionError("the server closed it") from exc

    event.listen(engine, "connect", note)
    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", ping)


def _has_spoken(connection: Any) -> bool:
    """Whether the server has sent something to an idle connection: it does when it ends one, and hardly ever else."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def driver_url(url: str) -> Any:
    """The SQLAlchemy URL for the psycopg driver. Raises `ConfigurationError` like `make_engine`."""
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise ConfigurationError("the database URL cannot be read; write postgresql://user@host/database") from exc
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"the database should be PostgreSQL, found {parsed.get_backend_name()!r}")
    return parsed.set(drivername="postgresql+psycopg")


def libpq_url(url: str) -> str:
    """The URL as libpq itself reads it, for what connects without SQLAlchemy. Raises `ConfigurationError`."""
    return str(driver_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema of the database at `url` to `revision`; safe to run twice and at the same time.

    A schema of newer code stays as it is: see `require_schema`. Raises `ConfigurationError` when the database cannot be reached.
    """
    try:
        with create_engine(driver_url(url), poolclass=NullPool).connect() as connection:
            found = schema_revision(connection)
    except OperationalError as exc:
        raise ConfigurationError(f"the database cannot be reached: {str(exc.orig).strip()}") from exc
    if found is None or found in _revisions():
        command.upgrade(_alembic(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the schema back to `revision`."""
    command.downgrade(_alembic(url), revision)


def head_revision() -> str:
    """The newest revision that this code knows."""
    return _revisions()[0]


def schema_revision(connection: Connection) -> str | None:
    """The revision the connected database is at; none when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def require_schema(connection: Connection) -> None:
    """Return if this code can work in the connected database: its schema is this code's, or a newer one.

    A newer one is what a server meets that is still to be replaced: a migration works with the code of the version before.

    Raises:
        ConfigurationError: there is no schema, or an older one.
    """
    found = schema_revision(connection)
    newest, *older = _revisions()
    if found is None or found in older:
        raise ConfigurationError(
            f"the database has schema {found}, this registry needs {newest}; migrate it with 'imprimatur up DIR'"
        )


@functools.cache
def _revisions() -> tuple[str, ...]:
    """Every revision that this code knows, the newest first."""
    return tuple(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def _alembic(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = driver_url(url)
    return config
