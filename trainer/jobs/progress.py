"""The progress of one attempt: rows at a bounded rate, and the way a running training is told to stop.

A training function calls a `Reporter` often. Most calls only look whether the worker wants to stop; every
`progress_seconds` one writes a row, which also proves that the attempt still holds the job, and reads the wish to
cancel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from sdk.errors import ServiceUnavailable
from sdk.spec.training import JobProgress
from trainer.jobs import service
from trainer.jobs.runtime import Runtime
from trainer.jobs.service import Attempt

_logger = logging.getLogger(__name__)


class StopReason(StrEnum):
    """Why a training is stopped from outside."""

    CANCELLED = "cancelled"  # somebody entitled asked for it
    WORKER_STOPS = "worker stops"  # the process was told to end


class TrainingStopped(Exception):
    """Raised out of `on_progress`; the training function lets it through."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Reporter:
    """`on_progress` of one attempt. Used by one thread."""

    def __init__(self, runtime: Runtime, attempt: Attempt, *, stopping: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._attempt = attempt
        self._stopping = stopping
        self._written: tuple[datetime, str] | None = None

    def __call__(self, progress: JobProgress) -> None:
        """Take a sign of progress.

        Raises:
            TrainingStopped: the training must end here.
            AttemptLost: another attempt has the job.
        """
        if self._stopping():
            raise TrainingStopped(StopReason.WORKER_STOPS)
        now = self._runtime.clock()
        if not self._due(now, progress.phase):
            return
        self._written = (now, progress.phase)
        try:
            with self._runtime.transaction() as session:
                cancel = service.note_progress(session, self._attempt, progress, at=now)
        except ServiceUnavailable:
            # Everything that counts is guarded again when it is written, so a training may outlive a short outage.
            _logger.warning("job %s: progress could not be kept; the database gives no answer", self._attempt.job)
            return
        if cancel:
            raise TrainingStopped(StopReason.CANCELLED)

    def _due(self, now: datetime, phase: str) -> bool:
        if self._written is None:
            return True
        at, last_phase = self._written
        return phase != last_phase or (now - at).total_seconds() >= self._runtime.settings.progress_seconds
