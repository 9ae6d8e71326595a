"""What may happen to a job's rows: fencing, settling, cancelling, recovering."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from support.training import FOX, PIER, Bench, training_request

from sdk.errors import Conflict, InputError, NotFound
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, RecordId, TenantName
from sdk.spec.paging import PageQuery, encode_cursor
from sdk.spec.policy import Decision, Effect
from sdk.spec.training import JobProgress, JobStatus, JobView
from trainer.jobs import query, service
from trainer.jobs.service import Attempt, AttemptLost
from trainer.jobs.tables import EventRow, JobRow

AT = datetime(2026, 11, 24, tzinfo=UTC)
DEMO = TenantName("demo")
AIKO = PrincipalId("demo/aiko")
JOB = RecordId("job_" + "b" * 26)
PERMIT = Decision(effect=Effect.PERMIT, action="train", reasons=(), bundle=Digest.of(b"b"), context=Digest.of(b"c"))
PROGRESS = JobProgress(phase="m-step", round=1, rounds=5, step=3, steps=50)


def create(bench: Bench, job: RecordId = JOB) -> RecordId:
    with bench.runtime.transaction() as session:
        service.create(
            session, job=job, request=training_request(), requested_by=AIKO, decision=PERMIT, at=bench.runtime.clock()
        )
    return job


def entry_of(bench: Bench, job: RecordId = JOB) -> int:
    with bench.runtime.transaction() as session:
        entry = session.scalar(select(JobRow.queue_entry).where(JobRow.id == job))
    assert entry is not None
    return entry


def claim(bench: Bench, job: RecordId = JOB) -> Attempt:
    """Claim as a worker does: the entry is taken out of the queue first."""
    entry = entry_of(bench, job)
    with bench.runtime.transaction() as session:
        worker = session.scalar(text("SELECT worker_id FROM procrastinate_register_worker_v1()"))
        session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE id = :entry"),
            {"worker": worker, "entry": entry},
        )
        attempt = service.claim(session, job, entry, at=bench.runtime.clock())
    assert attempt is not None
    return attempt


def kill_worker(bench: Bench) -> None:
    """Make every worker look as if it had stopped answering."""
    with bench.runtime.transaction() as session:
        session.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))


def recover(bench: Bench, max_attempts: int = 5) -> tuple[RecordId, ...]:
    with bench.runtime.transaction() as session:
        return service.recover_lost(session, at=AT, stalled_seconds=60, max_attempts=max_attempts)


def view(bench: Bench, job: RecordId = JOB) -> JobView:
    with bench.runtime.transaction() as session:
        return query.view(session, job, tenant=DEMO)


def entries(bench: Bench) -> list[str]:
    with bench.runtime.transaction() as session:
        return list(session.scalars(text("SELECT status::text FROM procrastinate_jobs ORDER BY id")))


def events(bench: Bench) -> list[str]:
    with bench.runtime.transaction() as session:
        return list(session.scalars(select(EventRow.event).order_by(EventRow.id)))


class TestCreate:
    def test_puts_job_and_queue_entry_in_together(self, bench: Bench) -> None:
        create(bench)
        assert view(bench).status is JobStatus.QUEUED
        assert entries(bench) == ["todo"]

    def test_leaves_neither_when_the_transaction_fails(self, bench: Bench) -> None:
        with bench.runtime.sessions() as session:
            service.create(session, job=JOB, request=training_request(), requested_by=AIKO, decision=PERMIT, at=AT)
            session.rollback()
        assert entries(bench) == []
        with pytest.raises(NotFound):
            view(bench)

    def test_gives_back_the_request_as_it_was(self, bench: Bench) -> None:
        create(bench)
        assert view(bench).request == training_request()

    def test_makes_ids_from_all_the_entropy(self) -> None:
        assert service.new_job_id(lambda size: b"\xff" * size) == "job_" + "7" * 25 + "4"


class TestClaim:
    def test_gives_each_attempt_a_higher_number(self, bench: Bench) -> None:
        create(bench)
        assert claim(bench).number == 1
        kill_worker(bench)
        recover(bench)
        assert claim(bench).number == 2

    def test_keeps_the_start_of_the_first_attempt(self, bench: Bench) -> None:
        create(bench)
        started = claim(bench).started_at
        kill_worker(bench)
        recover(bench)
        assert claim(bench).started_at == started

    def test_ignores_an_entry_that_does_not_count(self, bench: Bench) -> None:
        create(bench)
        with bench.runtime.transaction() as session:
            assert service.claim(session, JOB, entry_of(bench) + 1, at=AT) is None
        assert view(bench).status is JobStatus.QUEUED

    def test_ignores_a_job_that_runs_already(self, bench: Bench) -> None:
        create(bench)
        claim(bench)
        with bench.runtime.transaction() as session:
            assert service.claim(session, JOB, entry_of(bench), at=AT) is None


Act = Callable[[service.Session, Attempt], object]
ACTS: dict[str, Act] = {
    "progress": lambda session, attempt: service.note_progress(session, attempt, PROGRESS, at=AT),
    "settle": lambda session, attempt: service.settle(session, attempt, {FOX: b"other"}),
    "note version": lambda session, attempt: service.note_version(session, attempt, FOX, "demo/fox@9"),
    "succeed": lambda session, attempt: service.succeed(session, attempt, at=AT),
    "fail": lambda session, attempt: service.fail(session, attempt, "why", at=AT),
    "stop": lambda session, attempt: service.stop_cancelled(session, attempt, at=AT),
    "release": lambda session, attempt: service.release(session, attempt, "why", at=AT, max_attempts=5),
}


class TestFencing:
    @pytest.mark.parametrize("act", ACTS)
    def test_a_worker_that_was_given_up_changes_nothing(self, bench: Bench, act: str) -> None:
        create(bench)
        zombie = claim(bench)
        kill_worker(bench)
        recover(bench)
        claim(bench)
        before = view(bench), entries(bench), events(bench)
        with pytest.raises(AttemptLost), bench.runtime.transaction() as session:
            ACTS[act](session, zombie)
        assert (view(bench), entries(bench), events(bench)) == before

    @pytest.mark.parametrize("act", ACTS)
    def test_a_worker_that_holds_the_job_may(self, bench: Bench, act: str) -> None:
        create(bench)
        attempt = claim(bench)
        with bench.runtime.transaction() as session:
            ACTS[act](session, attempt)


class TestProgress:
    def test_is_seen_while_the_job_runs(self, bench: Bench) -> None:
        create(bench)
        attempt = claim(bench)
        with bench.runtime.transaction() as session:
            assert service.note_progress(session, attempt, PROGRESS, at=AT) is False
        assert view(bench).progress == PROGRESS
        with bench.runtime.transaction() as session:
            service.succeed(session, attempt, at=AT)
        assert view(bench).progress is None


class TestSettle:
    def test_holds_for_every_later_attempt(self, bench: Bench) -> None:
        create(bench)
        first = claim(bench)
        with bench.runtime.transaction() as session:
            service.settle(session, first, {FOX: b"fox", PIER: b"pier"})
        kill_worker(bench)
        recover(bench)
        with bench.runtime.transaction() as session:
            pass
        second = claim(bench)
        with bench.runtime.transaction() as session:
            service.settle(session, second, {FOX: b"fox again", PIER: b"pier again"})
            held = service.settled(session, JOB)
        assert [(one.concept, one.manifest, one.version) for one in held] == [
            (FOX, b"fox", None),
            (PIER, b"pier", None),
        ]

    def test_shows_versions_once_they_are_submitted(self, bench: Bench) -> None:
        create(bench)
        attempt = claim(bench)
        with bench.runtime.transaction() as session:
            service.settle(session, attempt, {FOX: b"fox", PIER: b"pier"})
            service.note_version(session, attempt, FOX, "demo/fox@1")
        assert view(bench).versions == ("demo/fox@1",)


class TestCancel:
    def cancel(self, bench: Bench, tenant: TenantName = DEMO) -> None:
        with bench.runtime.transaction() as session:
            service.request_cancel(session, JOB, tenant=tenant, at=AT)

    def test_ends_a_queued_job_at_once(self, bench: Bench) -> None:
        create(bench)
        self.cancel(bench)
        assert view(bench).status is JobStatus.CANCELLED
        assert entries(bench) == ["cancelled"]

    def test_only_asks_a_running_one(self, bench: Bench) -> None:
        create(bench)
        attempt = claim(bench)
        self.cancel(bench)
        assert view(bench).status is JobStatus.RUNNING
        with bench.runtime.transaction() as session:
            assert service.note_progress(session, attempt, PROGRESS, at=AT) is True

    def test_twice_is_once(self, bench: Bench) -> None:
        create(bench)
        self.cancel(bench)
        self.cancel(bench)
        assert events(bench).count("cancel") == 1

    def test_is_refused_after_another_end(self, bench: Bench) -> None:
        create(bench)
        attempt = claim(bench)
        with bench.runtime.transaction() as session:
            service.succeed(session, attempt, at=AT)
        with pytest.raises(Conflict, match="succeeded"):
            self.cancel(bench)

    def test_of_another_tenants_job_finds_nothing(self, bench: Bench) -> None:
        create(bench)
        with pytest.raises(NotFound):
            self.cancel(bench, TenantName("other"))


class TestRecoverLost:
    def test_leaves_a_job_alone_whose_worker_answers(self, bench: Bench) -> None:
        create(bench)
        claim(bench)
        assert recover(bench) == ()
        assert view(bench).status is JobStatus.RUNNING

    def test_leaves_a_waiting_job_alone(self, bench: Bench) -> None:
        create(bench)
        kill_worker(bench)
        assert recover(bench) == ()

    def test_gives_the_job_of_a_silent_worker_a_new_entry(self, bench: Bench) -> None:
        create(bench)
        claim(bench)
        kill_worker(bench)
        assert recover(bench) == (JOB,)
        assert view(bench).status is JobStatus.QUEUED
        assert entries(bench) == ["failed", "todo"]

    @pytest.mark.parametrize(
        "accident",
        [
            "DELETE FROM procrastinate_jobs",
            "UPDATE procrastinate_jobs SET status = 'failed'",
            "DELETE FROM procrastinate_workers",
        ],
    )
    def test_finds_a_running_job_however_its_entry_was_lost(self, bench: Bench, accident: str) -> None:
        create(bench)
        claim(bench)
        with bench.runtime.transaction() as session:
            session.execute(text(accident))
        assert recover(bench) == (JOB,)
        assert claim(bench).number == 2

    def test_finds_a_queued_job_without_an_entry(self, bench: Bench) -> None:
        create(bench)
        with bench.runtime.transaction() as session:
            session.execute(text("DELETE FROM procrastinate_jobs"))
        assert recover(bench) == (JOB,)
        assert claim(bench).number == 1

    def test_cancels_a_lost_job_that_was_to_be_cancelled(self, bench: Bench) -> None:
        create(bench)
        claim(bench)
        with bench.runtime.transaction() as session:
            service.request_cancel(session, JOB, tenant=DEMO, at=AT)
        kill_worker(bench)
        recover(bench)
        assert view(bench).status is JobStatus.CANCELLED

    def test_gives_a_job_up_that_kills_every_worker(self, bench: Bench) -> None:
        create(bench)
        for _ in range(2):
            claim(bench)
            kill_worker(bench)
            recover(bench, max_attempts=2)
        assert view(bench).status is JobStatus.FAILED
        assert "2 attempts" in (view(bench).error or "")

    def test_removes_what_dead_workers_left_of_the_upkeep(self, bench: Bench) -> None:
        insert = "INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('upkeep', 'upkeep', 'doing')"
        with bench.runtime.transaction() as session:
            session.execute(text(insert))
        recover(bench)
        assert entries(bench) == []


class TestViews:
    def test_show_a_tenant_its_own_jobs_newest_first(self, bench: Bench) -> None:
        older, newer = create(bench), create(bench, RecordId("job_" + "c" * 26))
        with bench.runtime.transaction() as session:
            assert [job.id for job in query.page(session, PageQuery(), tenant=DEMO).jobs] == [newer, older]
            first = query.page(session, PageQuery(limit=1), tenant=DEMO)
            assert [job.id for job in first.jobs] == [newer]
            second = query.page(session, PageQuery(limit=1, cursor=first.next_cursor), tenant=DEMO)
            assert ([job.id for job in second.jobs], second.next_cursor) == ([older], None)
            for other in (encode_cursor(1), encode_cursor("noon", "job")):
                with pytest.raises(InputError, match="cursor"):
                    query.page(session, PageQuery(cursor=other), tenant=DEMO)
            assert query.page(session, PageQuery(), tenant=TenantName("other")).jobs == ()
