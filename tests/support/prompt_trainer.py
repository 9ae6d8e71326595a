"""The real trainer in process, on tiny networks: it has done a job before the request for it is answered.

with prompt_trainer(studio, database_url, backbone) as trained_studio:
    trained_studio.command("train", "plan.yaml", ..., role="trainer")
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
from sqlalchemy import select
from support.asgi import AsgiTransport
from support.studio import StudioInProcess
from support.training import make_bench

from sdk.client import Client
from sdk.signing.signer import Signer
from sdk.spec.canonical import parse_wire
from sdk.spec.training import JobView
from trainer.app import create_app
from trainer.jobs.ports import RegistryPort, Train
from trainer.jobs.runtime import Runtime
from trainer.jobs.tables import JobRow
from trainer.jobs.workflow import run_attempt
from trainer.loading import load_backbone
from trainer.worker import sample_signer, train_with_em

QUICK = {
    "max_rounds": 2,
    "m_step.steps": 6,
    "m_step.batch_size": 1,
    "e_step.timesteps": 1,
    "e_step.timestep_low": 10,
    "e_step.timestep_high": 70,
    "crf.grid": 8,
    "stop.evaluation_timesteps": 1,
}  # settings with which a tiny network trains in seconds


class PromptTrainer(httpx.BaseTransport):
    """Carries requests to the trainer; after a new job it does what a worker does."""

    def __init__(self, runtime: Runtime, train: Train, credential: str, signer: Signer) -> None:
        self._runtime, self._train, self._credential, self._signer = runtime, train, credential, signer
        self._inner = AsgiTransport(create_app(runtime))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        if (request.method, request.url.path) == ("POST", "/v1/jobs") and answer.is_success:
            self._work(parse_wire(JobView, answer.read(), "job"))
        return answer

    def _work(self, job: JobView) -> None:
        with self._runtime.transaction() as session:
            entry = session.scalar(select(JobRow.queue_entry).where(JobRow.id == job.id))
        assert entry is not None
        with self._runtime.open_registry(self._credential) as registry:
            run_attempt(
                self._runtime,
                job.id,
                entry,
                train=self._train,
                registry=registry,
                signer=self._signer,
                stopping=lambda: False,
            )


@contextmanager
def prompt_trainer(studio: StudioInProcess, database_url: str) -> Iterator[StudioInProcess]:
    """The studio with a trainer on the same database and base model."""

    @contextmanager
    def open_registry(credential: str) -> Iterator[RegistryPort]:
        with Client("http://registry.test", credential, transport=studio.wire) as client:
            yield client

    bench = make_bench(database_url, studio.folder / "trainer", clock=studio.registry.clock)
    runtime = replace(bench.runtime, open_registry=open_registry)
    service = studio.profile("training-service")
    trainer = PromptTrainer(
        runtime,
        functools.partial(train_with_em, load_backbone(studio.base_model), open_marker=sample_signer(service)),
        service.credential,
        studio.registry.keys["training-service"],
    )
    try:
        yield replace(studio, trainer=trainer)
    finally:
        bench.engine.dispose()
