"""Every change of a render's rows. Called inside the caller's transaction; nothing here commits.

Rules:
1. A grant is drawn once: its generation is the key of its row, and the row stays when everything else is erased. The
   same request again is the same render; another request under the same grant is a Conflict.
2. What a worker writes is guarded by its attempt number, the fencing token: a worker whose render was given to another,
   or ended, changes nothing and meets `RenderLost`.
3. Scene, previews and images are kept from the request until the application ends the render, at most `keep_seconds` after its
   grant expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from sdk.errors import Conflict, ImprimaturError, NotFound, PermissionDenied
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.rendering import (
    RenderAttention,
    RenderFault,
    RenderPreview,
    RenderPreviews,
    RenderRequest,
    RenderStatus,
    RenderView,
)
from trainer.jobs.queue import retire
from trainer.rendering import queue
from trainer.rendering.admission import Admitted
from trainer.rendering.lifecycle import RenderEvent, advance
from trainer.rendering.tables import RenderImageRow, RenderPreviewRow, RenderRow


class RenderLost(Exception):
    """The render was given to another attempt, or ended; whoever meets this writes nothing more about it."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One claim on a render; `number` is the fencing token."""

    generation: RecordId
    number: int
    application: PrincipalId
    request: RenderRequest


def create(session: Session, admitted: Admitted, *, at: datetime) -> None:
    """Insert a render and put it into the queue, once. Raises `Conflict` for another request under the same grant."""
    grant, content = admitted.grant, encode_canonical(admitted.request)
    statement = insert(RenderRow).values(
        generation=str(grant.generation),
        tenant=str(grant.application.tenant),
        application=str(grant.application),
        status=RenderStatus.QUEUED.value,
        request=content,
        request_digest=str(Digest.of(content)),
        images=grant.count,
        steps=admitted.request.sampling.steps,
        created_at=at,
        expires_at=grant.expires_at,
    )
    made = session.scalar(statement.on_conflict_do_nothing().returning(RenderRow.generation))
    row = _locked(session, grant.generation)
    assert row is not None  # it was made, now or before
    if made is None:
        if row.request_digest != Digest.of(content) or row.status == RenderStatus.ENDED:
            raise Conflict(f"the grant of {grant.generation} was used already; a grant is drawn once")
        return
    row.queue_entry = queue.enqueue(session, grant.generation)
    session.flush()


def claim(session: Session, generation: RecordId) -> Attempt | None:
    """Start an attempt; nothing when the render has ended, is done or has failed."""
    row = _locked(session, generation)
    if row is None or row.status not in (RenderStatus.QUEUED, RenderStatus.RUNNING) or row.request is None:
        return None
    _erase_pictures(session, row)
    _move(session, row, RenderEvent.CLAIM, attempt=row.attempt + 1, image=0, together=1, step=0, previews=0)
    return Attempt(
        generation=generation,
        number=row.attempt,
        application=PrincipalId(row.application),
        request=parse_wire(RenderRequest, row.request, f"request of {generation}"),
    )


def note_progress(session: Session, attempt: Attempt, images: range, step: int) -> None:
    """Keep how far an attempt is: the numbers of the images that are drawn together, and their step. Raises `RenderLost`."""
    held = update(RenderRow).where(*_held_by(attempt)).values(image=images.start, together=len(images), step=step)
    if session.scalar(held.returning(RenderRow.generation)) is None:
        raise RenderLost(attempt.generation)


def keep_preview(session: Session, attempt: Attempt, position: int, step: int, png: bytes) -> None:
    """Keep how a picture looks after a step, in place of its last preview. Raises `RenderLost`."""
    held = update(RenderRow).where(*_held_by(attempt)).values(previews=RenderRow.previews + 1)
    if session.scalar(held.returning(RenderRow.generation)) is None:
        raise RenderLost(attempt.generation)
    kept = {"step": step, "png": png}
    preview = insert(RenderPreviewRow).values(generation=str(attempt.generation), position=position, **kept)
    session.execute(preview.on_conflict_do_update(constraint="pk_render_previews", set_=kept))


def keep_image(
    session: Session, attempt: Attempt, position: int, png: bytes, attention: RenderAttention | None = None
) -> None:
    """Keep an image for the application, and what it attended to. Raises `RenderLost`."""
    _require_held(session, attempt)
    content = encode_canonical(attention) if attention else None
    session.add(RenderImageRow(generation=str(attempt.generation), position=position, png=png, attention=content))
    session.flush()


def finish(session: Session, attempt: Attempt) -> None:
    """Every image is kept. Raises `RenderLost`."""
    _move(session, _require_held(session, attempt), RenderEvent.FINISH)


def fail(session: Session, attempt: Attempt, error: ImprimaturError) -> None:
    """The attempt met an error that another would meet again. Raises `RenderLost`."""
    row = _require_held(session, attempt)
    _move(session, row, RenderEvent.FAIL, error_code=error.code, error=error.message[:2000])


def end(session: Session, generation: RecordId, *, application: PrincipalId) -> RenderView:
    """Erase scene and images; ending twice is ending once. Raises `NotFound`."""
    row = _of(session, generation, application)
    _erase(session, row)
    return _view(row)


def view(session: Session, generation: RecordId, *, application: PrincipalId) -> RenderView:
    """One render as its application sees it. Raises `NotFound`."""
    return _view(_of(session, generation, application))


def previews(session: Session, generation: RecordId, *, application: PrincipalId) -> RenderPreviews:
    """How the pictures of a render look so far. Raises `NotFound`."""
    row = _of(session, generation, application)
    wanted = select(RenderPreviewRow).where(RenderPreviewRow.generation == row.generation)
    found = session.scalars(wanted.order_by(RenderPreviewRow.position))
    return RenderPreviews(
        previews=tuple(RenderPreview(image=each.position, step=each.step, picture=each.png) for each in found)
    )


def image(session: Session, generation: RecordId, position: int, *, application: PrincipalId) -> bytes:
    """An image of a render that is done. Raises `NotFound`."""
    return _image(session, generation, position, application).png


def attention(session: Session, generation: RecordId, position: int, *, application: PrincipalId) -> RenderAttention:
    """What an image of a render that is done attended to. Raises `NotFound`, also when it was not to be kept."""
    kept = _image(session, generation, position, application).attention
    if kept is None:
        raise NotFound(f"the render {generation} kept nothing of what image {position} attended to; ask for 'explain'")
    return parse_wire(RenderAttention, kept, f"attention of image {position} of {generation}")


def _image(session: Session, generation: RecordId, position: int, application: PrincipalId) -> RenderImageRow:
    row = _of(session, generation, application)
    found = session.get(RenderImageRow, (row.generation, position))
    if found is None or row.status != RenderStatus.DONE:
        raise NotFound(f"the render {generation} is {row.status} and has no image {position}")
    return found


def upkeep(session: Session, *, at: datetime, stalled_seconds: float, keep_seconds: float) -> tuple[str, ...]:
    """Queue lost renders anew, end what nobody fetched, and return the generations of both."""
    over = select(RenderRow).where(
        RenderRow.status != RenderStatus.ENDED.value, RenderRow.expires_at < at - timedelta(seconds=keep_seconds)
    )
    forgotten = session.scalars(over.with_for_update(skip_locked=True)).all()
    for row in forgotten:
        _erase(session, row)
    lost = queue.lost_renders(session, stalled_seconds=stalled_seconds)
    for generation in lost:
        row = session.get_one(RenderRow, generation)
        retire(session, row.queue_entry)
        if at >= row.expires_at:
            expired = PermissionDenied(f"the grant of {generation} expired before it was drawn; compose again")
            _move(session, row, RenderEvent.FAIL, error_code=expired.code, error=expired.message)
        else:
            row.queue_entry = queue.enqueue(session, RecordId(generation))
    session.flush()
    return (*(row.generation for row in forgotten), *lost)


def _erase(session: Session, row: RenderRow) -> None:
    retire(session, row.queue_entry)
    _erase_pictures(session, row)
    _move(session, row, RenderEvent.END, request=None, queue_entry=None)


def _erase_pictures(session: Session, row: RenderRow) -> None:
    for table in (RenderImageRow, RenderPreviewRow):
        session.execute(delete(table).where(table.generation == row.generation))


def _move(session: Session, row: RenderRow, event: RenderEvent, **changes: Any) -> None:
    """Advance the row by `event`: a guarded UPDATE."""
    status = advance(RenderStatus(row.status), event)
    where = (RenderRow.generation == row.generation, RenderRow.status == row.status, RenderRow.attempt == row.attempt)
    moved = update(RenderRow).where(*where).values(status=status.value, **changes).returning(RenderRow.generation)
    if session.scalar(moved) is None:
        raise RenderLost(row.generation)
    session.refresh(row)


def _held_by(attempt: Attempt) -> tuple[Any, ...]:
    return (
        RenderRow.generation == str(attempt.generation),
        RenderRow.attempt == attempt.number,
        RenderRow.status == RenderStatus.RUNNING.value,
    )


def _require_held(session: Session, attempt: Attempt) -> RenderRow:
    row = session.scalar(select(RenderRow).where(*_held_by(attempt)).with_for_update())
    if row is None:
        raise RenderLost(attempt.generation)
    return row


def _of(session: Session, generation: RecordId, application: PrincipalId) -> RenderRow:
    row = _locked(session, generation)
    if row is None or row.application != application:
        raise NotFound(f"there is no render {generation} of {application}")
    return row


def _locked(session: Session, generation: RecordId) -> RenderRow | None:
    return session.scalar(select(RenderRow).where(RenderRow.generation == str(generation)).with_for_update())


def _view(row: RenderRow) -> RenderView:
    fault = RenderFault(code=row.error_code, message=row.error) if row.error_code and row.error else None
    return RenderView(
        generation=RecordId(row.generation),
        status=RenderStatus(row.status),
        image=row.image,
        together=row.together,
        images=row.images,
        step=row.step,
        steps=row.steps,
        previews=row.previews,
        error=fault,
        created_at=row.created_at,
    )
