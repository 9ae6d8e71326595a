"""A worker's loop: queue entries become attempts, and lost jobs are found in between. No torch: training is given."""

from __future__ import annotations

import logging
import socket

from procrastinate import JobContext

from sdk.errors import ImprimaturError
from sdk.signing.signer import Signer
from sdk.spec.ids import RecordId
from trainer.jobs import service
from trainer.jobs.erasing import erase_what_was_erased
from trainer.jobs.ports import Train
from trainer.jobs.queue import TRAININGS, make_worker_app, run_worker
from trainer.jobs.runtime import Runtime
from trainer.jobs.workflow import run_attempt

_logger = logging.getLogger(__name__)


def serve_queue(runtime: Runtime, *, train: Train, credential: str, signer: Signer) -> None:
    """Take jobs from the queue until SIGTERM or SIGINT, and look for lost ones in between."""
    settings = runtime.settings

    def run_entry(context: JobContext, job: str) -> None:
        entry, stopping = context.job.id, context.should_abort
        assert entry is not None  # it came out of the queue
        with runtime.open_registry(credential) as registry:
            run_attempt(runtime, RecordId(job), entry, train=train, registry=registry, signer=signer, stopping=stopping)

    def upkeep() -> None:
        with runtime.transaction() as session:
            lost = service.recover_lost(
                session,
                at=runtime.clock(),
                stalled_seconds=settings.stalled_seconds,
                max_attempts=settings.max_attempts,
            )
        for job in lost:
            _logger.warning("job %s: its worker stopped answering; another attempt goes on", job)
        try:
            with runtime.open_registry(credential) as registry:
                erase_what_was_erased(runtime, registry)
        except (ImprimaturError, OSError) as exc:  # looked at again in a moment
            _logger.warning("what the registry erased cannot be erased here yet: %s", exc)

    app = make_worker_app(settings, TRAININGS, run_entry=run_entry, upkeep=upkeep)
    run_worker(app, settings, TRAININGS, name=socket.gethostname())
