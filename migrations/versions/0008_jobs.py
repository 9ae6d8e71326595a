"""Training jobs, and the queue they wait in. Owner: trainer/jobs.

The queue is the schema of Procrastinate 3.10.0, in the file beside this one, word for word as that release ships it.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.insert_only import forbid_changes

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

QUEUE_SCHEMA = Path(__file__).with_name("0008_procrastinate.sql")
STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
EVENTS = ("admit", "claim", "succeed", "fail", "cancel", "release", "lose")

_QUEUE_TABLES = ("procrastinate_events", "procrastinate_periodic_defers", "procrastinate_jobs", "procrastinate_workers")
_QUEUE_TYPES = ("procrastinate_job_to_defer_v1", "procrastinate_job_event_type", "procrastinate_job_status")


def upgrade() -> None:
    _run_script(QUEUE_SCHEMA.read_text(encoding="utf-8"))
    _create_jobs()
    _create_progress()
    _create_events()
    _create_versions()


def downgrade() -> None:
    for table in ("training_versions", "training_events", "training_progress", "training_jobs"):
        op.drop_table(table)
    for table in _QUEUE_TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")
    _drop_queue_functions()
    for name in _QUEUE_TYPES:
        op.execute(f"DROP TYPE {name} CASCADE")


def _create_jobs() -> None:
    op.create_table(
        "training_jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("decision", postgresql.JSONB(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("queue_entry", sa.BigInteger(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_training_jobs"),
        sa.CheckConstraint("id ~ '^job_[a-z2-7]{26}$'", name="ck_training_jobs_id"),
        sa.CheckConstraint(f"status IN {STATUSES}", name="ck_training_jobs_status"),
        sa.CheckConstraint("attempt >= 0", name="ck_training_jobs_attempt"),
        sa.CheckConstraint("starts_with(requested_by, tenant || '/')", name="ck_training_jobs_tenant"),
        sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="ck_training_jobs_error"),
        sa.CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name="ck_training_jobs_finished",
        ),
        sa.CheckConstraint("status <> 'running' OR started_at IS NOT NULL", name="ck_training_jobs_started"),
    )
    op.create_index("ix_training_jobs_tenant_created_at", "training_jobs", ["tenant", "created_at"])
    op.create_index(
        "ix_training_jobs_open", "training_jobs", ["id"], postgresql_where=sa.text("status IN ('queued', 'running')")
    )


def _create_progress() -> None:
    op.create_table(
        "training_progress",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("progress", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_training_progress"),
        sa.ForeignKeyConstraint(["job"], ["training_jobs.id"], name="fk_training_progress_job"),
    )


def _create_events() -> None:
    op.create_table(
        "training_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_training_events"),
        sa.ForeignKeyConstraint(["job"], ["training_jobs.id"], name="fk_training_events_job"),
        sa.CheckConstraint(f"event IN {EVENTS}", name="ck_training_events_event"),
    )
    op.create_index("ix_training_events_job", "training_events", ["job"])
    forbid_changes("training_events")


def _create_versions() -> None:
    op.create_table(
        "training_versions",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("concept", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job", "concept", name="pk_training_versions"),
        sa.ForeignKeyConstraint(["job"], ["training_jobs.id"], name="fk_training_versions_job"),
    )


def _run_script(script: str) -> None:
    """Run many statements as they are; psycopg then reads no `%` as a parameter."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # a migration has a connection
    connection.execute(script)


def _drop_queue_functions() -> None:
    _run_script(
        """
        DO $$
        DECLARE queue_function regprocedure;
        BEGIN
            FOR queue_function IN
                SELECT oid::regprocedure FROM pg_proc
                 WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema()::regnamespace
            LOOP
                EXECUTE format('DROP FUNCTION %s CASCADE', queue_function);
            END LOOP;
        END;
        $$
        """
    )
