"""A real PostgreSQL for tests: one embedded server a session, one migrated template, one fresh database a module.

    with database_server() as server:
        with server.fresh_database() as url: ...

Durability is switched off: nothing here has to survive a power cut.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

from registry.cli import postgres
from registry.db import upgrade

TEMPLATE = "imprimatur_template"


@dataclass(frozen=True, kw_only=True)
class DatabaseServer:
    """A running server whose template database has the newest schema."""

    admin_url: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url_of(self, database: str) -> str:
        """The address of a database on this server."""
        return self.admin_url.replace("/postgres?", f"/{quote(database)}?")

    @contextmanager
    def fresh_database(self, *, migrated: bool = True) -> Iterator[str]:
        """The address of a new database; dropped afterwards, whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        template = f" TEMPLATE {TEMPLATE} STRATEGY FILE_COPY" if migrated else ""
        self.execute(f"CREATE DATABASE {name}{template}")
        try:
            yield self.url_of(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one administrative statement outside a transaction."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def database_server() -> Iterator[DatabaseServer]:
    """Start a server in a folder of its own; stop and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="imprimatur-pg-", dir="/tmp"))
    try:
        folder.chmod(0o711)
        server = DatabaseServer(admin_url=postgres.start(folder / "data"))
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {setting} = off")
        server.execute("SELECT pg_reload_conf()")
        server.execute(f"CREATE DATABASE {TEMPLATE}")
        upgrade(server.url_of(TEMPLATE))
        yield server
    finally:
        postgres.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
