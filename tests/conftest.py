"""Fixtures that every package's tests share; what they are made of is in `tests/support`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.database import DatabaseServer, database_server
from support.prepared import After, Prepared, open_registry
from support.registry import RegistryUnderTest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files marked `long` come first, so that no worker is left alone with one at the end; the rest stays in random order."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseServer]:
    """One PostgreSQL for the whole session; with pytest-xdist, for each worker."""
    with database_server() as server:
        yield server


@pytest.fixture(scope="module")
def database_url(postgres_server: DatabaseServer) -> Iterator[str]:
    """A fresh migrated database for each test module."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def opened(postgres_server: DatabaseServer) -> Iterator[Prepared[None]]:
    """The real registry as it is right after it was set up, to be copied."""
    with open_registry(postgres_server) as made:
        yield made


@pytest.fixture
def registry(opened: Prepared[None]) -> Iterator[RegistryUnderTest]:
    """The real registry in process, on a database of its own, for one test."""
    with opened.copy() as made:
        yield made


@pytest.fixture(scope="module")
def after(opened: Prepared[None]) -> Iterator[After]:
    """`after(act).copy()`: what `registry` gives, after an `act` that is done once a module."""
    with After(opened) as made:
        yield made
