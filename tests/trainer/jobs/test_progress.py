"""How often progress is written, and how a training is told to stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError
from support.training import Bench, training_request

from sdk.spec.ids import PrincipalId, RecordId, TenantName
from sdk.spec.training import JobProgress
from trainer.jobs import service
from trainer.jobs.progress import Reporter, StopReason, TrainingStopped
from trainer.jobs.service import Attempt, AttemptLost

ATTEMPT = Attempt(
    job=RecordId("job_" + "b" * 26),
    number=1,
    tenant=TenantName("demo"),
    requested_by=PrincipalId("demo/aiko"),
    request=training_request(),
    started_at=datetime(2026, 11, 24, tzinfo=UTC),
)


def progress(phase: str = "m-step") -> JobProgress:
    return JobProgress(phase=phase, round=1, rounds=5, step=1, steps=5)


class TestReporter:
    @pytest.fixture(autouse=True)
    def _written(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2026, 11, 24, tzinfo=UTC)
        self.written: list[JobProgress] = []
        self.cancel = False
        self.stopping = False
        monkeypatch.setattr(service, "note_progress", self._note)
        object.__setattr__(bench.runtime, "clock", lambda: self.now)
        self.reporter = Reporter(bench.runtime, ATTEMPT, stopping=lambda: self.stopping)

    def _note(self, session: object, attempt: Attempt, progress: JobProgress, *, at: datetime) -> bool:
        self.written.append(progress)
        return self.cancel

    def test_writes_at_most_once_an_interval(self) -> None:
        for _ in range(10):
            self.reporter(progress())
        assert len(self.written) == 1
        self.now += timedelta(seconds=0.05)
        self.reporter(progress())
        assert len(self.written) == 2

    def test_writes_every_change_of_phase(self) -> None:
        for phase in ("e-step", "m-step", "quality"):
            self.reporter(progress(phase))
        assert len(self.written) == 3

    def test_looks_at_every_call_whether_the_worker_stops(self) -> None:
        self.reporter(progress())
        self.stopping = True
        with pytest.raises(TrainingStopped) as stopped:
            self.reporter(progress())
        assert stopped.value.reason is StopReason.WORKER_STOPS

    def test_stops_a_cancelled_training(self) -> None:
        self.cancel = True
        with pytest.raises(TrainingStopped) as stopped:
            self.reporter(progress())
        assert stopped.value.reason is StopReason.CANCELLED

    def test_lets_a_lost_attempt_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def lost(*args: object, **kwargs: object) -> bool:
            raise AttemptLost

        monkeypatch.setattr(service, "note_progress", lost)
        with pytest.raises(AttemptLost):
            self.reporter(progress())

    def test_outlives_a_database_that_is_away(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def away(*args: object, **kwargs: object) -> bool:
            raise OperationalError("SELECT 1", {}, Exception("gone"))

        monkeypatch.setattr(service, "note_progress", away)
        self.reporter(progress())
        assert "progress could not be kept" in caplog.text
