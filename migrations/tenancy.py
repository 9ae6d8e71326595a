"""Isolation of tenants by PostgreSQL's row-level security.

The registry works as the role `imprimatur_app`, which owns nothing and cannot bypass row security, and says in each
transaction for which tenant it works (`registry.runtime`). A table whose rows belong to a tenant is isolated in the
migration that makes it; the tests ask for it.

isolate("concepts", TENANT_COLUMN)
isolate("concept_versions", OF_CONCEPT)
isolate("consent_withdrawals", of_parent("consents", "consent_id"))
"""

from __future__ import annotations

from typing import Final

from alembic import op

APP_ROLE: Final = "imprimatur_app"
POLICY: Final = "tenant_isolation"
_TENANT: Final = "current_setting('imprimatur.tenant', true)"
TENANT_COLUMN: Final = f"tenant = {_TENANT}"
OF_CONCEPT: Final = f"split_part(concept_id, '/', 1) = {_TENANT}"

_CREATE_ROLE: Final = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN
        CREATE ROLE {APP_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
    IF NOT pg_has_role(current_user, '{APP_ROLE}', 'SET') THEN
        GRANT {APP_ROLE} TO CURRENT_USER;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server was faster
END $$
"""  # noqa: S608 - names of this file only


def of_parent(table: str, column: str) -> str:
    """The condition of a row that belongs to whoever owns the row of `table` that `column` names; that is isolated too."""
    return f"EXISTS (SELECT 1 FROM {table} WHERE {table}.id = {column})"  # noqa: S608 - both are names that a migration writes


def isolate(table: str, condition: str) -> None:
    """Let the registry see, and write, only the rows of `table` that meet `condition`."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {POLICY} ON {table} USING ({condition}) WITH CHECK ({condition})")


def share(table: str) -> None:
    """Undo `isolate`."""
    op.execute(f"DROP POLICY {POLICY} ON {table}")
    op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def create_app_role(*tables: str) -> None:
    """Make the role if the server has none, and give it these tables and all that later migrations make.

    UPDATE is what locking a row needs; rows of evidence refuse it (`migrations.insert_only`).
    """
    op.execute(_CREATE_ROLE)
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON {', '.join(tables)} TO {APP_ROLE}")
    op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE ON TABLES TO {APP_ROLE}")


def drop_app_rights() -> None:
    """Take from the role everything in this database; the role itself stays, other databases may use it."""
    op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {APP_ROLE}")
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {APP_ROLE}")
    op.execute(f"REVOKE ALL ON SCHEMA public FROM {APP_ROLE}")
