"""Real worker processes on the real queue: killed, told to stop, taken over from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.training import FOX, PIER, ROOT, ROUNDS, Bench, training_request

from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, RecordId, TenantName
from sdk.spec.policy import Decision, Effect
from sdk.spec.training import JobStatus, JobView
from trainer.jobs import query, service
from trainer.jobs.files import CHECKPOINT_FILE

JOB = RecordId("job_" + "b" * 26)
DEADLINE = 40.0  # seconds; a healthy run takes a tenth
PERMIT = Decision(effect=Effect.PERMIT, action="train", reasons=(), bundle=Digest.of(b"b"), context=Digest.of(b"c"))

StartWorker = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(bench: Bench) -> Iterator[StartWorker]:
    """Starts worker processes, and ends those that are left."""
    started: list[subprocess.Popen[bytes]] = []
    log = (bench.runtime.settings.directory / "worker.log").open("ab")

    def start(round_seconds: float = 0.0) -> subprocess.Popen[bytes]:
        settings = bench.runtime.settings
        command = [sys.executable, str(ROOT / "tests" / "support" / "training_worker.py")]
        arguments = [settings.database_url, str(settings.directory), str(round_seconds)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        started.append(subprocess.Popen(command + arguments, env=environment, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
    log.close()


@pytest.fixture
def queued(bench: Bench) -> Bench:
    with bench.runtime.transaction() as session:
        service.create(
            session,
            job=JOB,
            request=training_request(),
            requested_by=PrincipalId("demo/aiko"),
            decision=PERMIT,
            at=bench.runtime.clock(),
        )
    return bench


def wait_for(bench: Bench, condition: Callable[[JobView], bool]) -> JobView:
    """The job as soon as `condition` holds."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        with bench.runtime.transaction() as session:
            view = query.view(session, JOB, tenant=TenantName("demo"))
        if condition(view):
            return view
        time.sleep(0.05)
    log = (bench.runtime.settings.directory / "worker.log").read_text()
    raise AssertionError(f"not within {DEADLINE} s; the job is {view.status}; worker log:\n{log[-4000:]}")


def checkpoint(bench: Bench, attempt: int) -> int:
    path: Path = bench.runtime.settings.jobs / JOB / f"attempt-{attempt}" / "out" / CHECKPOINT_FILE
    return int(path.read_text()) if path.exists() else 0


def submitted(bench: Bench) -> list[str]:
    lines = (bench.runtime.settings.directory / "submissions").read_text().splitlines()
    return [json.loads(line)["concept"] for line in lines]


class TestWorkerProcess:
    def test_finishes_a_job(self, queued: Bench, start_worker: StartWorker) -> None:
        start_worker()
        view = wait_for(queued, lambda view: view.finished_at is not None)
        assert view.status is JobStatus.SUCCEEDED
        assert submitted(queued) == [FOX, PIER]

    def test_killed_mid_job_another_finishes_from_the_checkpoint(
        self, queued: Bench, start_worker: StartWorker
    ) -> None:
        first = start_worker(round_seconds=0.5)
        wait_for(queued, lambda view: checkpoint(queued, 1) >= 2)
        first.send_signal(signal.SIGKILL)
        first.wait()
        done = checkpoint(queued, 1)
        assert done < ROUNDS
        start_worker()
        view = wait_for(queued, lambda view: view.finished_at is not None)
        assert view.status is JobStatus.SUCCEEDED
        log = (queued.runtime.settings.directory / "worker.log").read_text()
        assert f"{JOB}: its worker stopped answering" in log
        assert submitted(queued) == [FOX, PIER]
        assert json.loads((queued.runtime.settings.jobs / JOB / "began").read_text()) == done

    def test_told_to_stop_hands_the_job_back_at_once(self, queued: Bench, start_worker: StartWorker) -> None:
        first = start_worker(round_seconds=0.3)
        wait_for(queued, lambda view: checkpoint(queued, 1) >= 1)
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=DEADLINE) == 0
        wait_for(queued, lambda view: view.status is JobStatus.QUEUED)
        start_worker()
        view = wait_for(queued, lambda view: view.finished_at is not None)
        assert view.status is JobStatus.SUCCEEDED

    def test_stops_a_running_job_that_is_cancelled(self, queued: Bench, start_worker: StartWorker) -> None:
        start_worker(round_seconds=0.3)
        wait_for(queued, lambda view: view.progress is not None)
        with queued.runtime.transaction() as session:
            service.request_cancel(session, JOB, tenant=TenantName("demo"), at=queued.runtime.clock())
        view = wait_for(queued, lambda view: view.finished_at is not None)
        assert view.status is JobStatus.CANCELLED

    def test_a_paused_worker_that_wakes_up_late_harms_nothing(self, queued: Bench, start_worker: StartWorker) -> None:
        first = start_worker(round_seconds=0.3)
        wait_for(queued, lambda view: checkpoint(queued, 1) >= 1)
        first.send_signal(signal.SIGSTOP)
        start_worker()
        view = wait_for(queued, lambda view: view.finished_at is not None)
        first.send_signal(signal.SIGCONT)
        time.sleep(1.0)
        with queued.runtime.transaction() as session:
            assert query.view(session, JOB, tenant=TenantName("demo")) == view
        assert submitted(queued) == [FOX, PIER]
