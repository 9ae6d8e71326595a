"""A real PostgreSQL for tests: one embedded server a session, one migrated template, one fresh database a module.

    with database_server() as server:
        with server.fresh_database() as url: ...

Durability is switched off and, where there is room, the data lie in memory: nothing here has to survive a power cut.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from registry.cli import postgres
from registry.db import upgrade

TEMPLATE = "imprimatur_template"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30  # a container's usual 64 MiB would be full at once


@dataclass(frozen=True, kw_only=True)
class DatabaseServer:
    """A running server whose template database has the newest schema."""

    admin_url: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url_of(self, database: str) -> str:
        """The address of a database on this server."""
        return self.admin_url.replace("/postgres?", f"/{quote(database)}?")

    @contextmanager
    def fresh_database(self, *, migrated: bool = True, like: str | None = None) -> Iterator[str]:
        """The address of a new database, empty or a copy of the one at `like`, to which nobody may be connected.

        It is dropped afterwards, whoever is still connected.
        """
        name = f"test_{next(self._numbers)}"
        template = conninfo_to_dict(like)["dbname"] if like else TEMPLATE
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if migrated or like else ""
        self.execute(f"CREATE DATABASE {name}{copied}")
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
    folder = Path(tempfile.mkdtemp(prefix="imprimatur-pg-", dir=_place()))
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


def _place() -> str:
    """Where copying a database costs least; a short path, for the socket lies in it too."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    return str(MEMORY) if roomy else "/tmp"
