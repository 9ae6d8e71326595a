"""Tenants see nothing of each other by the database itself, table by table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.lives import DEMO, OTHER, Lives, lived
from support.prepared import After
from support.registry import RegistryUnderTest

from registry.db import Base

UNISOLATED: Final = {  # see migrations 0011, 0012, 0024
    *("credentials", "console_sessions", "log_entries", "log_nodes", "log_cosignatures", "policy_bundles"),
}


@pytest.fixture
def demo(after: After) -> Iterator[Lives]:
    """Tenant demo with a row in every table; for each test its own."""
    with lived(after) as made:
        yield made


class TestRowSecurity:
    def test_is_on_for_every_table_of_tenants(self, registry: RegistryUnderTest) -> None:
        with registry.engine.connect() as connection:
            rows = connection.execute(text("SELECT tablename FROM pg_policies WHERE policyname = 'tenant_isolation'"))
            isolated = {name for (name,) in rows}
        ours = {name for name in Base.metadata.tables if not name.startswith("training_")}
        assert ours - isolated <= UNISOLATED

    def test_shows_each_tenant_its_own_rows_only(self, demo: Lives) -> None:
        with demo.registry.engine.connect() as connection:
            rows = connection.execute(text("SELECT tablename FROM pg_policies WHERE policyname = 'tenant_isolation'"))
            isolated = sorted(name for (name,) in rows)
        counted = {}
        for tenant in (DEMO, OTHER, None):
            with demo.registry.runtime.transaction(tenant) as session:
                counted[tenant] = {table: session.scalar(text(f"SELECT count(*) FROM {table}")) for table in isolated}
        assert not any(counted[OTHER].values())
        assert not any(counted[None].values()), "without a tenant nothing is seen"
        assert [table for table, rows in counted[DEMO].items() if not rows] == []

    def test_lets_nobody_write_for_another_tenant(self, registry: RegistryUnderTest) -> None:
        insert = text("INSERT INTO concepts VALUES ('demo/den', 'demo', 'subject', 'Den', 'demo/owner', now(), 0)")
        with pytest.raises(DBAPIError, match="row-level security"):
            with registry.runtime.transaction(OTHER) as session:
                session.execute(insert)
        with registry.runtime.transaction(DEMO) as session:
            session.execute(insert)

    def test_holds_whatever_the_login_may(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction(DEMO) as session:
            role = session.execute(
                text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            ).one()
        assert tuple(role) == ("imprimatur_app", False, False)

    def test_ends_with_the_transaction(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction(DEMO):
            pass
        with registry.engine.connect() as connection:
            found = connection.execute(text("SELECT current_user, current_setting('imprimatur.tenant', true)")).one()
        assert found[0] != "imprimatur_app"
        assert not found[1]
