"""What the database must be for the process to serve it."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from support.registry import RegistryUnderTest

from registry.cli.serving import require_own_database
from sdk.errors import ConfigurationError


def set_schema(registry: RegistryUnderTest, revision: str) -> None:
    with registry.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


class TestRequireOwnDatabase:
    def test_takes_this_codes_schema_and_a_newer_one(self, registry: RegistryUnderTest) -> None:
        require_own_database(registry.runtime)
        set_schema(registry, "9999")
        require_own_database(registry.runtime)

    def test_refuses_an_older_schema_and_says_what_to_do(self, registry: RegistryUnderTest) -> None:
        set_schema(registry, "0001")
        with pytest.raises(ConfigurationError, match=r"has schema 0001, this registry needs .* 'imprimatur up DIR'"):
            require_own_database(registry.runtime)

    def test_refuses_a_database_without_one(self, registry: RegistryUnderTest) -> None:
        with registry.engine.begin() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
        with pytest.raises(ConfigurationError, match="has schema None"):
            require_own_database(registry.runtime)
