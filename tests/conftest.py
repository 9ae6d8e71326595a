"""Fixtures that every package's tests share; what they are made of is in `tests/support`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.database import DatabaseServer, database_server
from support.registry import RegistryUnderTest, make_test_registry


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseServer]:
    """One PostgreSQL for the whole session."""
    with database_server() as server:
        yield server


@pytest.fixture(scope="module")
def database_url(postgres_server: DatabaseServer) -> Iterator[str]:
    """A fresh migrated database for each test module."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture
def registry(postgres_server: DatabaseServer) -> Iterator[RegistryUnderTest]:
    """The real registry in process, on a fresh database, for one test."""
    with postgres_server.fresh_database() as url, make_test_registry(url) as made:
        yield made
