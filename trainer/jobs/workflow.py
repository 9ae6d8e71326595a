"""One attempt at a job, from claim to end. No torch: the training function is given.

An attempt may die at any line. What it wrote by then is either harmless (its own folder, uploads by content address) or
guarded by the fencing token, and the next attempt goes on:

    1. Claim the job; from here the attempt number is the fencing token.
    2. Unless an earlier attempt settled the manifests: train, from the newest TrainingCheckpoint of any attempt;
       upload the artefacts; settle the manifests.
    3. Attest and submit each manifest that is no version yet.
    4. The job has succeeded; the folders that are no longer needed are removed.

How an attempt ends: stopped from outside (cancelled, or handed back because the worker stops), a service is away
(handed back, tried again later), or an error that the next attempt would meet again (failed, with a line people can
act on).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sdk.errors import ImprimaturError, ServiceUnavailable, TooManyRequests
from sdk.signing.signer import Signer
from sdk.spec.ids import RecordId
from sdk.spec.training import JobProgress
from trainer.jobs import service, submission
from trainer.jobs.files import attempt_folder, earlier_attempts, remove_spent
from trainer.jobs.pictures import PictureStore
from trainer.jobs.ports import RegistryPort, Train, Trained, TrainingOrder
from trainer.jobs.progress import Reporter, StopReason, TrainingStopped
from trainer.jobs.runtime import Runtime
from trainer.jobs.service import Attempt, AttemptLost, SettledManifest

_logger = logging.getLogger(__name__)

MAX_ERROR = 500  # characters of a job's error line


def run_attempt(
    runtime: Runtime,
    job: RecordId,
    entry: int,
    *,
    train: Train,
    registry: RegistryPort,
    signer: Signer,
    stopping: Callable[[], bool],
) -> None:
    """Work on `job` for the queue entry `entry`; returns without doing anything when the entry no longer counts."""
    with runtime.transaction() as session:
        attempt = service.claim(session, job, entry, at=runtime.clock())
    if attempt is None:
        _logger.info("job %s: queue entry %d no longer counts", job, entry)
        return
    _logger.info("job %s: attempt %d starts", job, attempt.number)
    try:
        _carry_out(runtime, attempt, train=train, registry=registry, signer=signer, stopping=stopping)
    except AttemptLost:
        _logger.warning("job %s: attempt %d was given up by others; it ends without a trace", job, attempt.number)
    except BaseException as exc:
        _end(runtime, attempt, exc)
        if not isinstance(exc, Exception):
            raise


def _carry_out(
    runtime: Runtime,
    attempt: Attempt,
    *,
    train: Train,
    registry: RegistryPort,
    signer: Signer,
    stopping: Callable[[], bool],
) -> None:
    reporter = Reporter(runtime, attempt, stopping=stopping)
    manifests = _settled(runtime, attempt)
    if not manifests:
        trained = train(_order(runtime, attempt), on_progress=reporter)
        _settle(runtime, attempt, trained, registry, reporter)
        manifests = _settled(runtime, attempt)
    for count, settled in enumerate(manifests):
        reporter(_submitting(count, len(manifests)))
        if settled.version is None:
            draft = attempt.request.draft
            version = submission.submit(settled.manifest, registry=registry, signer=signer, draft=draft)
            with runtime.transaction() as session:
                service.note_version(session, attempt, settled.concept, version)
    remove_spent(runtime.settings.jobs, attempt.job)  # before the job is over: a crash here comes back to it
    with runtime.transaction() as session:
        service.succeed(session, attempt, at=runtime.clock())
    _logger.info("job %s: attempt %d succeeded", attempt.job, attempt.number)


def _order(runtime: Runtime, attempt: Attempt) -> TrainingOrder:
    jobs = runtime.settings.jobs
    folder = attempt_folder(jobs, attempt.job, attempt.number)
    folder.mkdir(parents=True, exist_ok=True)
    store = PictureStore(root=runtime.settings.pictures, max_bytes=runtime.settings.max_picture_bytes)
    return TrainingOrder(
        job=attempt.job,
        attempt=attempt.number,
        request=attempt.request,
        files={d: store.path(attempt.tenant, d) for picture in attempt.request.pictures for d in picture.files},
        folder=folder,
        resume_from=earlier_attempts(jobs, attempt.job, attempt.number),
    )


def _settle(runtime: Runtime, attempt: Attempt, trained: Trained, registry: RegistryPort, reporter: Reporter) -> None:
    finished_at = runtime.clock()
    total, done = sum(len(concept.files) for concept in trained.concepts), 0
    manifests = []
    for concept in trained.concepts:
        artefacts = []
        for file in concept.files:
            artefacts.append(submission.upload(file, registry))
            done += 1
            reporter(_submitting(done, total))
        manifests.append(submission.make_manifest(attempt, trained, concept, artefacts, finished_at=finished_at))
    with runtime.transaction() as session:
        service.settle(session, attempt, submission.encode_all(manifests))


def _settled(runtime: Runtime, attempt: Attempt) -> tuple[SettledManifest, ...]:
    with runtime.transaction() as session:
        return service.settled(session, attempt.job)


def _end(runtime: Runtime, attempt: Attempt, exc: BaseException) -> None:
    """Write down how the attempt ended. When even that fails, the upkeep finds the job later."""
    settings, at = runtime.settings, runtime.clock()
    try:
        with runtime.transaction() as session:
            if isinstance(exc, TrainingStopped) and exc.reason is StopReason.CANCELLED:
                service.stop_cancelled(session, attempt, at=at)
            elif isinstance(exc, TrainingStopped) or not isinstance(exc, Exception):
                reason = "its worker was stopped"
                service.release(session, attempt, reason, at=at, max_attempts=settings.max_attempts)
            elif isinstance(exc, ServiceUnavailable | TooManyRequests):
                delay = settings.retry_seconds * min(2 ** (attempt.number - 1), 32)
                service.release(
                    session, attempt, error_line(exc), at=at, delay=delay, max_attempts=settings.max_attempts
                )
            else:
                service.fail(session, attempt, error_line(exc), at=at)
    except AttemptLost:
        _logger.warning("job %s: attempt %d was given up by others", attempt.job, attempt.number)
    except ServiceUnavailable:
        _logger.exception("job %s: the end of attempt %d could not be kept", attempt.job, attempt.number)
    _log_end(attempt, exc)


def _log_end(attempt: Attempt, exc: BaseException) -> None:
    known = isinstance(exc, ImprimaturError | TrainingStopped) or not isinstance(exc, Exception)
    _logger.log(
        logging.INFO if known else logging.ERROR,
        "job %s: attempt %d ended: %s",
        attempt.job,
        attempt.number,
        error_line(exc),
        exc_info=None if known else exc,
    )


def error_line(exc: BaseException) -> str:
    """One bounded line that says what happened and, where nobody foresaw it, where to look."""
    if isinstance(exc, ImprimaturError):
        message = exc.message
    elif isinstance(exc, TrainingStopped):
        message = f"it was stopped: {exc}"
    elif isinstance(exc, MemoryError):
        message = "the machine ran out of memory while training; use fewer pictures or a larger machine"
    else:
        message = (
            f"training stopped on an error nobody foresaw ({type(exc).__name__}: {exc}); the worker's log has more"
        )
    line = " ".join(message.split())
    return line if len(line) <= MAX_ERROR else line[: MAX_ERROR - 3] + "..."


def _submitting(done: int, total: int) -> JobProgress:
    return JobProgress(phase="submit", round=0, rounds=0, step=done, steps=total)
