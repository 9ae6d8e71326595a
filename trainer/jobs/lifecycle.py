"""Where a training job stands and the only ways on. The table is the rule; the database repeats it.

A job may run several times (a worker dies, another takes over), so RUNNING leads back to QUEUED. Whoever acts for a
run that was given up is stopped by the fencing token (`trainer.jobs.service`), not by this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from sdk.errors import Conflict
from sdk.spec.training import JobStatus


class JobEvent(StrEnum):
    """Everything that happens to a job; each is kept as a row."""

    ADMIT = "admit"  # consent, licence and policy allow it; the job begins to exist, as queued
    CLAIM = "claim"  # a worker starts an attempt; the attempt number is the fencing token
    SUCCEED = "succeed"  # trained and submitted
    FAIL = "fail"  # an error that another attempt would meet again
    CANCEL = "cancel"  # somebody entitled asked for it, and it stopped
    RELEASE = "release"  # the worker stops in order, or a service is away; another attempt goes on
    LOSE = "lose"  # the worker stopped answering; another attempt goes on
    ERASE = "erase"  # a person was erased, and with them its pictures, files and captions; its status stays


TRANSITIONS: Final[Mapping[tuple[JobStatus, JobEvent], JobStatus]] = {
    (JobStatus.QUEUED, JobEvent.CLAIM): JobStatus.RUNNING,
    (JobStatus.QUEUED, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.RUNNING, JobEvent.SUCCEED): JobStatus.SUCCEEDED,
    (JobStatus.RUNNING, JobEvent.FAIL): JobStatus.FAILED,
    (JobStatus.RUNNING, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.RUNNING, JobEvent.RELEASE): JobStatus.QUEUED,
    (JobStatus.RUNNING, JobEvent.LOSE): JobStatus.QUEUED,
}


def advance(status: JobStatus, event: JobEvent) -> JobStatus:
    """Return the next status.

    Raises:
        Conflict: `event` cannot happen to a job that is `status`.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError as exc:
        raise Conflict(f"a job that is {status.value} cannot {event.value}; read its status first") from exc
