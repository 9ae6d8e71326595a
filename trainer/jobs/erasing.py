"""Erasing what the trainer holds of a person: pictures, folders of jobs, captions. The registry's certificates say of whom.

Rules:
1. A job is of a person if it was asked for under one of their consents; a certificate names these.
2. A job that has not ended is asked to stop, and erased at a later look.
3. A picture stays while a job that is not of an erased person names it.
4. Files go first, then the event `erase` is committed, which names the erasure: what was interrupted is done again, and
   what is done is not looked at again.
5. What is done is told to the registry, which logs it, until its list says that it was told.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureList, ErasurePredicate, TrainingErased
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.statements import parse_predicate, parse_statement
from sdk.spec.training import JobStatus, TrainingRequest
from trainer.jobs import query, service
from trainer.jobs.pictures import PictureStore
from trainer.jobs.ports import RegistryPort
from trainer.jobs.runtime import Runtime
from trainer.jobs.tables import JobRow

_logger = logging.getLogger(__name__)
_ENDED: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})
_MOST_AT_ONCE: Final = 500  # jobs; the others are told at the next look
_OF_THEM: Final = text(
    """
    SELECT job.id FROM training_jobs job
     WHERE job.tenant = :tenant
       AND NOT EXISTS (SELECT FROM training_events event WHERE event.job = job.id AND event.event = 'erase')
       AND EXISTS (SELECT FROM jsonb_array_elements(job.request -> 'concepts') concept
                    WHERE concept -> 'consents' ?| CAST(:consents AS text[]))
     ORDER BY job.id
       FOR UPDATE OF job
    """
)
_NAMED_ELSEWHERE: Final = text(
    """
    SELECT FROM training_jobs job
     WHERE job.tenant = :tenant AND job.id <> ALL (CAST(:jobs AS text[]))
       AND NOT EXISTS (SELECT FROM training_events event WHERE event.job = job.id AND event.event = 'erase')
       AND EXISTS (SELECT FROM jsonb_array_elements(job.request -> 'pictures') picture
                    WHERE picture ->> 'digest' = :digest
                       OR EXISTS (SELECT FROM jsonb_each_text(picture -> 'masks') mask WHERE mask.value = :digest))
    """
)


def erase_what_was_erased(runtime: Runtime, registry: RegistryPort) -> tuple[RecordId, ...]:
    """Erase the jobs of everybody whom the registry erased; returns those that are erased now.

    Raises:
        ServiceError: the registry, or the database, gives no answer.
    """
    listed = registry.list_erasures()
    if not listed.erasures:
        return ()
    erasures, tenant = _by_consent(listed), registry.whoami().tenant
    with runtime.transaction() as session:
        named = {"tenant": str(tenant), "consents": [str(consent) for consent in erasures]}
        found = [RecordId(row.id) for row in session.execute(_OF_THEM, named)]
        done = tuple(job for job in found if _erase(session, runtime, tenant, job, found, erasures))
    _confirm(runtime, registry, listed)
    return done


def _confirm(runtime: Runtime, registry: RegistryPort, listed: ErasureList) -> None:
    """Tell the registry which jobs are erased that it does not list as such yet (rule 5)."""
    with runtime.transaction() as session:
        erased = query.erased_by(session, [view.id for view in listed.erasures])
    for view in listed.erasures:
        told = {job for said in view.training for job in said.jobs}
        if untold := sorted(set(erased.get(view.id, ())) - told):
            registry.confirm_training_erased(view.id, TrainingErased(jobs=tuple(untold[:_MOST_AT_ONCE])))


def _by_consent(listed: ErasureList) -> dict[RecordId, RecordId]:
    """The erasure that named a consent."""
    found: dict[RecordId, RecordId] = {}
    for view in listed.erasures:
        statement = parse_statement(view.certificate.payload, view.certificate.payload_type)
        found |= dict.fromkeys(parse_predicate(statement, ErasurePredicate).consents, view.id)
    return found


def _erase(
    session: Session,
    runtime: Runtime,
    tenant: TenantName,
    job: RecordId,
    found: list[RecordId],
    erasures: Mapping[RecordId, RecordId],
) -> bool:
    row = session.get_one(JobRow, str(job))
    if JobStatus(row.status) not in _ENDED:
        service.request_cancel(session, job, tenant=tenant, at=runtime.clock())
    if JobStatus(row.status) not in _ENDED:
        return False
    request = TrainingRequest.model_validate(row.request)
    settings = runtime.settings
    store = PictureStore(root=settings.pictures, max_bytes=settings.max_picture_bytes)
    if (folder := settings.jobs / job).exists():
        shutil.rmtree(folder)
    for digest in {digest for picture in request.pictures for digest in picture.files}:
        if not _is_needed(session, tenant, digest, found):
            store.path(tenant, digest).unlink(missing_ok=True)
    by = next(erasures[consent] for concept in request.concepts for consent in concept.consents if consent in erasures)
    service.note_erased(session, job, _without_words(request), erasure=by, at=runtime.clock())
    _logger.info("job %s: its pictures, files and captions are erased", job)
    return True


def _is_needed(session: Session, tenant: TenantName, digest: Digest, erased: list[RecordId]) -> bool:
    values: dict[str, Any] = {"tenant": str(tenant), "digest": str(digest), "jobs": [str(job) for job in erased]}
    return session.execute(_NAMED_ELSEWHERE, values).first() is not None


def _without_words(request: TrainingRequest) -> TrainingRequest:
    """The request without what people wrote about the person: captions, and names of files."""
    pictures = tuple(
        picture.model_copy(update={"caption": None, "name": f"erased-{place}"})
        for place, picture in enumerate(request.pictures, start=1)
    )
    return request.model_copy(update={"pictures": pictures})
