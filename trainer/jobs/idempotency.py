"""`Idempotency-Key` on the trainer's POSTs, with the registry's rules (`registry.idempotency`):

1. A key belongs to the principal who sent it, for 24 hours, and to one request: path and body. With another it is refused.
2. It is kept in the very transaction of the act, so exactly if the act is; of two at once the second waits for the first.
3. Every act here makes or changes one thing that can be read: a job, a render. A repetition does nothing, and is answered with
   that thing as it stands, and `Idempotent-Replayed: true`. An act that was refused keeps no key, and may be tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Header, Response
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from sdk.errors import InputError
from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from trainer.jobs.auth import Caller
from trainer.jobs.tables import TrainerBase

KEPT_FOR: Final = timedelta(hours=24)
REPLAYED: Final = "Idempotent-Replayed"
KeyHeader = Annotated[str | None, Header(alias="Idempotency-Key", pattern=r"^[A-Za-z0-9_-]{16,64}$")]
"""The header, as a parameter of a route."""


class KeyRow(TrainerBase):
    """A key that was used, and for what."""

    __tablename__ = "training_keys"

    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str]  # the digest of path and body
    about: Mapped[str]  # the job or render
    kept_at: Mapped[datetime]


@dataclass(frozen=True, kw_only=True)
class IdempotencyKey:
    """A key as it came with a request."""

    principal: str
    key: str
    request: str


def key_of(caller: Caller, header: str | None, path: str, body: WireModel | None = None) -> IdempotencyKey | None:
    """The key of a request; none when it came without."""
    if header is None:
        return None
    asked = Digest.of(path.encode() + b"\n" + (encode_canonical(body) if body else b""))
    return IdempotencyKey(principal=str(caller.principal), key=header, request=str(asked))


def earlier_use(session: Session, key: IdempotencyKey | None, response: Response, *, at: datetime) -> str | None:
    """What the key was used for before, which `response` then says. Raises `InputError`: for another request."""
    if key is None:
        return None
    statement = select(KeyRow).where(KeyRow.principal == key.principal, KeyRow.key == key.key)
    row = session.scalar(statement.where(KeyRow.kept_at > at - KEPT_FOR))
    if row is None:
        return None
    if row.request != key.request:
        raise InputError(f"the key {key.key} was sent with another request; make a new key for each request")
    response.headers[REPLAYED] = "true"
    return row.about


def keep(session: Session, key: IdempotencyKey | None, response: Response, *, about: str, at: datetime) -> str | None:
    """Keep the key in the act's transaction, before the act; or return what it was used for, as `earlier_use` does."""
    if key is None:
        return None
    session.execute(delete(KeyRow).where(KeyRow.principal == key.principal, KeyRow.kept_at <= at - KEPT_FOR))
    values = {"principal": key.principal, "key": key.key, "request": key.request, "about": about, "kept_at": at}
    kept = insert(KeyRow).values(values).on_conflict_do_nothing().returning(KeyRow.about)
    return None if session.scalar(kept) else earlier_use(session, key, response, at=at)
