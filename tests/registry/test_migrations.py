"""One history, numbered and chained; up and down; the rows' classes are the schema; evidence cannot be changed."""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import re
from collections.abc import Iterator

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from support.database import DatabaseServer

import registry
from registry.db import MIGRATIONS, Base, downgrade, driver_url, head_revision, make_engine, upgrade
from registry.fsck.check import UNCHECKED_TABLES, checked_tables
from sdk.errors import ConfigurationError

NO_TABLE = {
    "0011",
    "0018",
    "0021",
    "0022",
    "0028",
    "0029",
    "0032",
    "0033",
    "0034",
    "0036",
    "0038",
    "0042",
    "0044",
    "0045",
    "0046",
    "0047",
}  # change who may see rows, or what rows say, not which there are
NOT_OURS = re.compile(r"(procrastinate|training|render)_|(renders|alembic_version)$")
MUTABLE = {"credentials", "idempotency_keys"}  # last use, revocation; others are listed by their own tests


@pytest.fixture
def empty(postgres_server: DatabaseServer) -> Iterator[str]:
    with postgres_server.fresh_database(migrated=False) as url:
        yield url


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in rows} - {"alembic_version"}


class TestHistory:
    def test_a_schema_of_newer_code_is_left_as_it_is(self, empty: str) -> None:
        upgrade(empty)
        with psycopg.connect(empty) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        upgrade(empty)
        with psycopg.connect(empty) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)

    def test_is_one_chain_of_numbered_files(self) -> None:
        revisions = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
        assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
        names = sorted(path.name for path in (MIGRATIONS / "versions").glob("*.py"))
        assert [re.fullmatch(r"(\d{4})_[a-z]+(_[a-z]+)*\.py", name)[1] for name in names] == revisions  # type: ignore[index]

    def test_goes_up_and_down_step_by_step(self, empty: str) -> None:
        head = int(head_revision() or 0)
        for number in range(1, head + 1):
            upgrade(empty, f"{number:04}")
            with_it = tables(empty)
            downgrade(empty, f"{number - 1:04}" if number > 1 else "base")
            without = tables(empty)
            assert without < with_it or f"{number:04}" in NO_TABLE, (
                f"{number:04} adds no table, or does not take it away again"
            )
            upgrade(empty, f"{number:04}")
            assert tables(empty) == with_it
        downgrade(empty, "base")
        assert tables(empty) == set()

    def test_is_run_once_when_two_services_start_together(self, empty: str) -> None:
        with multiprocessing.get_context("spawn").Pool(2) as pool:  # Alembic itself is not for threads
            pool.map(upgrade, [empty, empty])
        assert "log_entries" in tables(empty)


class TestSchema:
    def test_every_table_is_looked_into_by_fsck_or_named_with_a_reason(self, database_url: str) -> None:
        ours = {name for name in tables(database_url) if not name.startswith("procrastinate_")} | {"alembic_version"}
        assert checked_tables() | UNCHECKED_TABLES.keys() == ours, "see registry.fsck.evidence and UNCHECKED_TABLES"
        assert not checked_tables() & UNCHECKED_TABLES.keys()

    def test_is_what_the_row_classes_say(self, database_url: str) -> None:
        for module in pkgutil.walk_packages(registry.__path__, "registry."):
            importlib.import_module(module.name)
        engine = make_engine(database_url)
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={"include_name": lambda name, kind, _: kind != "table" or not NOT_OURS.match(name)},
            )
            differences = compare_metadata(context, Base.metadata)
        engine.dispose()
        assert differences == []


class TestEvidence:
    @pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
    @pytest.mark.parametrize(("table", "column"), [("log_entries", "leaf_index"), ("log_nodes", "node_index")])
    def test_of_the_log_cannot_be_changed(self, database_url: str, table: str, column: str, statement: str) -> None:
        insert = {
            "log_entries": "INSERT INTO log_entries VALUES (0, 'x', now(), 'e', 't', 'a', 's')",
            "log_nodes": "INSERT INTO log_nodes VALUES (0, 0, decode(repeat('00', 32), 'hex'))",
        }[table]
        with psycopg.connect(database_url) as connection:
            connection.execute(insert)
            with pytest.raises(psycopg.errors.RestrictViolation, match="never changed"):
                connection.execute(statement.format(table, column, column))
            connection.rollback()

    def test_every_table_but_the_named_ones_is_insert_only(self, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            rows = connection.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'insert_only'")
            guarded = {name for (name,) in rows.fetchall()}
        assert {"log_entries", "log_nodes", "blob_holders"} <= guarded
        assert not guarded & MUTABLE

    def test_the_log_has_no_gap(self, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            with pytest.raises(psycopg.errors.CheckViolation, match="no predecessor"):
                connection.execute("INSERT INTO log_entries VALUES (7, 'x', now(), 'e', 't', 'a', 's')")
            connection.rollback()


class TestDriverUrl:
    def test_takes_any_spelling_of_postgresql(self) -> None:
        assert driver_url("postgresql://u@h/d").drivername == "postgresql+psycopg"
        assert driver_url("postgres://u@h/d").drivername == "postgresql+psycopg"

    def test_refuses_other_databases_without_repeating_the_password(self) -> None:
        with pytest.raises(ConfigurationError, match="should be PostgreSQL") as refusal:
            driver_url("mysql://u:secret@h/d")
        assert "secret" not in str(refusal.value)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            driver_url("nonsense")
