"""One attempt: what it leaves behind however it ends, and how the next one goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import select, text
from support.training import FOX, PICTURE, PIER, ROUNDS, SERVICE_CREDENTIAL, Bench, CountingTrain, training_request

from sdk.errors import Conflict, TrainingInputError
from sdk.signing.signer import verified_keyids
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, RecordId, TenantName
from sdk.spec.manifest import parse_manifest
from sdk.spec.policy import Decision, Effect
from sdk.spec.statements import TrainingPredicate, parse_predicate, parse_statement
from sdk.spec.training import JobStatus, JobView
from trainer.jobs import query, service
from trainer.jobs.tables import JobRow
from trainer.jobs.workflow import MAX_ERROR, error_line, run_attempt

DEMO = TenantName("demo")
JOB = RecordId("job_" + "b" * 26)
PERMIT = Decision(effect=Effect.PERMIT, action="train", reasons=(), bundle=Digest.of(b"b"), context=Digest.of(b"c"))


class KilledError(BaseException):
    """Stands for the end of the process: nothing after it runs."""


@dataclass
class Job:
    """A created job on a bench."""

    bench: Bench

    def __post_init__(self) -> None:
        with self.bench.runtime.transaction() as session:
            service.create(
                session,
                job=JOB,
                request=training_request(),
                requested_by=PrincipalId("demo/aiko"),
                decision=PERMIT,
                at=self.bench.runtime.clock(),
            )

    @property
    def entry(self) -> int:
        with self.bench.runtime.transaction() as session:
            entry = session.scalar(select(JobRow.queue_entry).where(JobRow.id == JOB))
        assert entry is not None
        return entry

    def run(self, train: CountingTrain, *, stopping: Callable[[], bool] = lambda: False) -> JobView:
        with self.bench.registry.open(SERVICE_CREDENTIAL) as registry:
            run_attempt(
                self.bench.runtime,
                JOB,
                self.entry,
                train=train,
                registry=registry,
                signer=self.bench.signer,
                stopping=stopping,
            )
        return self.view()

    def view(self) -> JobView:
        with self.bench.runtime.transaction() as session:
            return query.view(session, JOB, tenant=DEMO)

    def cancel(self) -> None:
        with self.bench.runtime.transaction() as session:
            service.request_cancel(session, JOB, tenant=DEMO, at=self.bench.runtime.clock())

    def take_over(self) -> None:
        """What the upkeep does when the worker stops answering."""
        with self.bench.runtime.transaction() as session:
            session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
            service.recover_lost(session, at=self.bench.runtime.clock(), stalled_seconds=1, max_attempts=9)


@pytest.fixture
def job(bench: Bench) -> Job:
    return Job(bench)


class TestSuccess:
    def test_ends_with_a_version_of_each_concept(self, job: Job) -> None:
        view = job.run(CountingTrain())
        assert view.status is JobStatus.SUCCEEDED
        assert view.versions == ("demo/fox@1", "demo/pier@1")
        assert view.finished_at is not None

    def test_submits_a_manifest_of_what_was_trained(self, job: Job) -> None:
        job.run(CountingTrain())
        concept, submission = job.bench.registry.submissions[0]
        manifest = parse_manifest(submission.manifest)
        assert (concept, manifest.concept) == (FOX, FOX)
        assert manifest.training.job == JOB
        assert manifest.training.requested_by == "demo/aiko"
        assert manifest.training.learned_with == (PIER,)
        assert manifest.training.pictures == (Digest.of(PICTURE),)
        assert manifest.training.seed == 7
        assert manifest.training.started_at < manifest.training.finished_at

    def test_uploads_every_artefact_with_its_size(self, job: Job) -> None:
        job.run(CountingTrain())
        for _, submission in job.bench.registry.submissions:
            for artefact in parse_manifest(submission.manifest).artefacts:
                assert len(job.bench.registry.blobs[artefact.digest]) == artefact.size

    def test_attests_the_manifest_with_the_training_key(self, job: Job) -> None:
        job.run(CountingTrain())
        _, submission = job.bench.registry.submissions[0]
        signer, envelope = job.bench.signer, submission.attestation
        assert verified_keyids(envelope, {signer.keyid: signer.public_key})
        statement = parse_statement(envelope.payload, envelope.payload_type)
        manifest = parse_manifest(submission.manifest)
        assert [(one.name, one.content) for one in statement.subject] == [(FOX, manifest.digest)]
        assert parse_predicate(statement, TrainingPredicate).record == manifest.training

    def test_trains_once_for_an_entry_that_is_delivered_twice(self, job: Job) -> None:
        entry, train = job.entry, CountingTrain()
        job.run(train)
        with job.bench.registry.open(SERVICE_CREDENTIAL) as registry:
            run_attempt(
                job.bench.runtime,
                JOB,
                entry,
                train=train,
                registry=registry,
                signer=job.bench.signer,
                stopping=lambda: False,
            )
        assert train.began == [0]


class TestStopping:
    def test_cancels_at_the_next_sign_of_progress(self, job: Job) -> None:
        train = CountingTrain(on_round=lambda number: job.cancel() if number == 1 else None)
        assert job.run(train).status is JobStatus.CANCELLED
        assert job.bench.registry.submissions == []

    def test_hands_the_job_back_when_the_worker_stops(self, job: Job) -> None:
        rounds: list[int] = []
        view = job.run(CountingTrain(on_round=rounds.append), stopping=lambda: len(rounds) == 3)
        assert view.status is JobStatus.QUEUED
        again = CountingTrain()
        assert job.run(again).status is JobStatus.SUCCEEDED
        assert again.began == [3]

    def test_a_worker_that_was_given_up_submits_nothing(self, job: Job) -> None:
        train = CountingTrain(on_round=lambda number: job.take_over() if number == 2 else None)
        assert job.run(train).status is JobStatus.QUEUED
        assert job.bench.registry.submissions == []
        again = CountingTrain()
        assert job.run(again).status is JobStatus.SUCCEEDED
        assert again.began == [3]


class TestCrash:
    def killed_at(self, job: Job, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Let the attempt die at `service.<name>`, with nothing after it, as kill -9 would."""

        def die(*args: object, **kwargs: object) -> None:
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(service, name, die)
            patch.setattr("trainer.jobs.workflow._end", lambda *args: None)
            with pytest.raises(KilledError):
                job.run(CountingTrain())
        job.take_over()

    def test_before_settling_repeats_only_what_no_checkpoint_holds(
        self, job: Job, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.killed_at(job, monkeypatch, "settle")
        again = CountingTrain()
        assert job.run(again).status is JobStatus.SUCCEEDED
        assert again.began == [ROUNDS]

    @pytest.mark.parametrize(("name", "submissions"), [("note_version", 3), ("succeed", 2)])
    def test_after_settling_submits_the_same_bytes_without_training(
        self, job: Job, monkeypatch: pytest.MonkeyPatch, name: str, submissions: int
    ) -> None:
        self.killed_at(job, monkeypatch, name)
        again = CountingTrain()
        assert job.run(again).versions == ("demo/fox@1", "demo/pier@1")
        assert again.began == []
        manifests = {(concept, Digest.of(sent.manifest)) for concept, sent in job.bench.registry.submissions}
        assert len(manifests) == 2
        assert len(job.bench.registry.submissions) == submissions


class TestFailure:
    def test_says_in_one_line_what_people_can_act_on(self, job: Job) -> None:
        view = job.run(CountingTrain(error=TrainingInputError("one.png: too small;\n give a larger picture")))
        assert view.status is JobStatus.FAILED
        assert view.error == "one.png: too small; give a larger picture"

    def test_keeps_the_inside_of_an_unforeseen_error_in_the_log(
        self, job: Job, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            view = job.run(CountingTrain(error=RuntimeError("shape mismatch")))
        assert view.error
        assert "an error nobody foresaw (RuntimeError: shape mismatch)" in view.error
        assert "Traceback" in caplog.text

    def test_tries_again_later_while_the_registry_is_away(self, job: Job) -> None:
        job.bench.registry.away = True
        assert job.run(CountingTrain()).status is JobStatus.QUEUED
        with job.bench.runtime.transaction() as session:
            later = "SELECT scheduled_at IS NOT NULL FROM procrastinate_jobs WHERE status = 'todo'"
            assert session.scalar(text(later)) is True
        job.bench.registry.away = False
        assert job.run(CountingTrain()).status is JobStatus.SUCCEEDED

    def test_a_refusal_of_the_registry_is_final(self, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: object, **kwargs: object) -> str:
            raise Conflict("the concept is a place")

        monkeypatch.setattr("trainer.jobs.submission.submit", refuse)
        assert job.run(CountingTrain()).error == "the concept is a place"


class TestErrorLine:
    def test_is_bounded(self) -> None:
        line = error_line(TrainingInputError("x" * 10_000))
        assert len(line) == MAX_ERROR
        assert line.endswith("...")

    def test_names_the_mend_when_memory_ran_out(self) -> None:
        assert "fewer pictures" in error_line(MemoryError())
