"""Runs migrations for Alembic. The database's address comes from `registry.db.upgrade`, never from the environment.

One transaction for all of them, under one lock: two services that start at the same moment migrate once.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

MIGRATION_LOCK = 0x1090


def run() -> None:
    """Run what was asked for on the database in the configuration's attributes."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        context.configure(connection=connection)
        context.run_migrations()


run()
