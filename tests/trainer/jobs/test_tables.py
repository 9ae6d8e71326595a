"""The rows, the migration and the closed sets say the same."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from procrastinate.schema import SchemaManager
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError
from support.database import DatabaseServer
from support.training import ROOT, Bench

from registry.db import downgrade, make_engine, upgrade
from sdk.spec.rendering import RenderStatus
from sdk.spec.training import JobStatus
from trainer.jobs.lifecycle import JobEvent
from trainer.jobs.service import ERASED
from trainer.jobs.tables import TrainerBase
from trainer.rendering.tables import RenderImageRow, RenderRow

OURS = frozenset(TrainerBase.metadata.tables)
assert {RenderRow.__tablename__, RenderImageRow.__tablename__} < OURS

FAILED = """
    INSERT INTO training_jobs (id, tenant, requested_by, status, request, decision, attempt, cancel_requested, error,
                               created_at, finished_at)
    VALUES (:job, 'demo', 'demo/aiko', 'failed', '{}', '{}', 1, false, 'aiko.png is damaged', now(), now())
"""
EVENT = "INSERT INTO training_events (job, event, attempt, at, detail) VALUES (:job, :event, 1, now(), :detail)"


class TestMigration:
    def test_makes_the_tables_that_the_rows_describe(self, bench: Bench) -> None:
        def ours(name: str | None, kind: str, parents: object) -> bool:
            return kind != "table" or name in OURS

        with bench.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
            differences = compare_metadata(context, TrainerBase.metadata)
        only_in_database = {"ix_training_jobs_tenant_created_at", "ix_training_jobs_open"}
        assert [d for d in differences if not (d[0] == "remove_index" and d[1].name in only_in_database)] == []

    def test_leaves_nothing_behind_when_undone(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url:
            downgrade(url, "0007")
            engine = make_engine(url)
            with engine.connect() as connection:
                assert not OURS & set(inspect(connection).get_table_names())
                for catalogue, name in (("pg_proc", "proname"), ("pg_type", "typname"), ("pg_class", "relname")):
                    left = f"SELECT {name} FROM {catalogue} WHERE {name} LIKE '%procrastinate%'"
                    assert connection.scalars(text(left)).all() == []
            upgrade(url)
            engine.dispose()

    def test_takes_why_jobs_failed_out_of_their_events_and_out_of_erased_jobs(
        self, postgres_server: DatabaseServer
    ) -> None:
        kept, erased = "job_" + "b" * 26, "job_" + "c" * 26
        with postgres_server.fresh_database() as url:
            downgrade(url, "0043")
            engine = make_engine(url)
            with engine.begin() as connection:
                for job in (kept, erased):
                    connection.execute(text(FAILED), {"job": job})
                    connection.execute(text(EVENT), {"job": job, "event": "fail", "detail": "aiko.png is damaged"})
                connection.execute(text(EVENT), {"job": erased, "event": "erase", "detail": "era_1"})
            upgrade(url)
            with engine.connect() as connection:
                errors = dict(connection.execute(text("SELECT id, error FROM training_jobs")).all())
                events = connection.execute(text("SELECT event, detail FROM training_events ORDER BY id")).all()
                with pytest.raises(DBAPIError, match="evidence"):
                    connection.execute(text("UPDATE training_events SET detail = 'x'"))
            engine.dispose()
        assert errors == {kept: "aiko.png is damaged", erased: ERASED}
        assert events == [("fail", None), ("fail", None), ("erase", "era_1")]

    def test_has_the_queue_of_the_installed_release_word_for_word(self) -> None:
        frozen = (ROOT / "migrations" / "versions" / "0008_procrastinate.sql").read_text("utf-8")
        assert frozen.endswith(SchemaManager.get_schema())

    @pytest.mark.parametrize(
        ("constraint", "values"),
        [
            ("ck_training_jobs_status", {status.value for status in JobStatus}),
            ("ck_training_events_event", {event.value for event in JobEvent}),
            ("ck_renders_status", {status.value for status in RenderStatus}),
        ],
    )
    def test_checks_list_the_closed_sets(self, bench: Bench, constraint: str, values: set[str]) -> None:
        query = text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name")
        with bench.engine.connect() as connection:
            definition = connection.scalar(query, {"name": constraint})
        assert set(definition.split("'")[1::2]) == values


class TestEvents:
    @pytest.mark.parametrize("act", ["UPDATE training_events SET detail = 'x'", "DELETE FROM training_events"])
    def test_are_never_changed(self, bench: Bench, act: str) -> None:
        job = "job_" + "a" * 26
        insert = (
            "INSERT INTO training_jobs (id, tenant, requested_by, status, request, decision, attempt, "
            "cancel_requested, created_at) VALUES (:job, 'demo', 'demo/a', 'queued', '{}', '{}', 0, false, now())"
        )
        event = "INSERT INTO training_events (job, event, attempt, at) VALUES (:job, 'admit', 0, now())"
        with bench.engine.begin() as connection:
            connection.execute(text(insert), {"job": job})
            connection.execute(text(event), {"job": job})
        with bench.engine.begin() as connection, pytest.raises(DBAPIError, match="evidence"):
            connection.execute(text(act))


class TestDatabaseChecks:
    @pytest.mark.parametrize(
        "change",
        [
            "status = 'paused'",
            "status = 'failed', finished_at = now()",
            "error = 'why'",
            "status = 'succeeded'",
            "status = 'running'",
            "tenant = 'other'",
            "attempt = -1",
        ],
    )
    def test_refuse_what_contradicts_itself(self, bench: Bench, change: str) -> None:
        insert = (
            "INSERT INTO training_jobs (id, tenant, requested_by, status, request, decision, attempt, "
            "cancel_requested, created_at) VALUES (:job, 'demo', 'demo/a', 'queued', '{}', '{}', 0, false, now())"
        )
        with bench.engine.begin() as connection:
            connection.execute(text(insert), {"job": "job_" + "a" * 26})
        with bench.engine.begin() as connection, pytest.raises(DBAPIError, match="violates check constraint"):
            connection.execute(text(f"UPDATE training_jobs SET {change}"))
