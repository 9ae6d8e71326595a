"""The trainer's migration alone, and databases to run it in. For tests of `trainer.jobs`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from support.training import ROOT

from migrations.insert_only import create_refusal


def run_migration(connection: Connection, step: str) -> None:
    """Run `upgrade` or `downgrade` of migration 0008 alone."""
    with Operations.context(MigrationContext.configure(connection)):
        if step == "upgrade":
            create_refusal()
        migration = _load(ROOT / "migrations" / "versions" / "0008_jobs.py")
        {"upgrade": migration.upgrade, "downgrade": migration.downgrade}[step]()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("migration_0008", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def execute(url: str, statement: str) -> None:
    engine = create_engine(driver(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def driver(url: str) -> str:
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def database(url: str, name: str) -> str:
    return make_url(url).set(drivername="postgresql", database=name).render_as_string(hide_password=False)
