"""Asking witnesses to cosign the log's checkpoint: the client side of C2SP tlog-witness.

    cosigned = collect(runtime, http)          # one round; what was cosigned is kept
    with kept_cosigned(runtime): serve()       # a round now and then, in a thread

A witness that is away or refuses stops nothing: the others are asked, and it is asked again in the next round. A witness
that has seen more of the log than there is, or another history, is an error in the service's log: somebody restored an
old backup, or the log was forked.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import httpx
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from registry.log.proofs import checkpoint_note, prove_consistency
from registry.log.service import tree_size
from registry.log.tables import LogCosignatureRow
from registry.runtime import Runtime
from sdk.errors import FormatError, ImprimaturError, LogForked, ServiceError, ServiceUnavailable
from sdk.signing.cosign import cosigned_at
from sdk.spec.log_checkpoint import (
    NoteSignature,
    SignedCheckpoint,
    encode_note_signatures,
    parse_note_signatures,
    parse_signed_checkpoint,
)
from sdk.spec.log_policy import Party

ANSWER_SECONDS: Final = 10.0  # seconds a witness may take
COSIGN_AGAIN: Final = timedelta(hours=1)  # a checkpoint that stands still is cosigned anew, so that its time stays near
_MAX_ANSWER_BYTES: Final = 16_384
_logger = logging.getLogger(__name__)


def collect(runtime: Runtime, http: httpx.Client) -> tuple[str, ...]:
    """Ask each witness that has an address to cosign the newest checkpoint; returns the names of those that did."""
    done = []
    for name, party in runtime.witnesses.witnesses.items():
        if party.url is None:
            continue
        try:
            if _cosigned(runtime, http, name, party):
                done.append(name)
        except LogForked:
            _logger.exception("witness %s has seen another history of the log; stop, and ask who restored what", name)
        except (ImprimaturError, httpx.HTTPError, SQLAlchemyError) as exc:
            _logger.warning("witness %s did not cosign: %s", name, exc)
    return tuple(done)


@contextmanager
def kept_cosigned(runtime: Runtime) -> Iterator[None]:
    """Ask the witnesses every `witness_seconds` while the block runs; nothing when there are none to ask."""
    if not any(party.url for party in runtime.witnesses.witnesses.values()):
        yield
        return
    stopping = threading.Event()

    def rounds() -> None:
        with httpx.Client(timeout=ANSWER_SECONDS) as http:
            while not stopping.is_set():
                collect(runtime, http)
                stopping.wait(runtime.settings.witness_seconds)

    thread = threading.Thread(target=rounds, name="witnesses", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(ANSWER_SECONDS)


def _cosigned(runtime: Runtime, http: httpx.Client, name: str, party: Party) -> bool:
    with runtime.transaction() as session:
        size = tree_size(session)
        known, last = _newest_of(session, name)
        if known == size and last is not None and runtime.clock() - last < COSIGN_AGAIN:
            return False
        note = checkpoint_note(session, runtime, size).encode()
    answer = _ask(runtime, http, party, old=known, size=size, note=note)
    if answer.status_code == httpx.codes.CONFLICT:
        seen = _size_in(answer)
        if seen > size or seen == known:
            raise LogForked(f"it has cosigned {seen} entries, this log has {size} and knows of {known}")
        answer = _ask(runtime, http, party, old=seen, size=size, note=note)
    if answer.status_code != httpx.codes.OK:
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise LogForked(f"it does not find its last checkpoint in this log: {answer.text[:200]}")
        raise ServiceError(f"it answered {answer.status_code}: {answer.text[:200]}")
    _keep(runtime, name, party, note, parse_note_signatures(answer.text))
    return True


def _ask(runtime: Runtime, http: httpx.Client, party: Party, *, old: int, size: int, note: bytes) -> httpx.Response:
    with runtime.transaction() as session:
        proof = prove_consistency(session, old_size=old, new_size=size).hashes
    answer = http.post(f"{str(party.url).rstrip('/')}/add-checkpoint", content=_body(old, proof, note))
    if len(answer.content) > _MAX_ANSWER_BYTES:
        raise FormatError(f"it answered with {len(answer.content)} bytes; a signature line is far shorter")
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise ServiceUnavailable(f"it answered {answer.status_code}: {answer.text[:200]}")
    return answer


def _body(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    hashes = "".join(base64.b64encode(each).decode() + "\n" for each in proof)
    return f"old {old}\n{hashes}\n".encode() + note


def _size_in(answer: httpx.Response) -> int:
    text = answer.text.removesuffix("\n")
    if not text.isdecimal() or len(text) > 18:
        raise FormatError(f"it answered 409 without the size it has seen: {text[:80]!r}")
    return int(text)


def _newest_of(session: Session, name: str) -> tuple[int, datetime | None]:
    statement = select(func.max(LogCosignatureRow.tree_size), func.max(LogCosignatureRow.cosigned_at))
    size, last = session.execute(statement.where(LogCosignatureRow.witness == name)).one()
    return size or 0, last


def _keep(runtime: Runtime, name: str, party: Party, note: bytes, lines: tuple[NoteSignature, ...]) -> None:
    checkpoint = parse_signed_checkpoint(note).checkpoint
    for line in lines:
        at = cosigned_at(SignedCheckpoint(checkpoint=checkpoint, signatures=(line,)), party.key)
        if at is None:
            continue
        row = {
            "tree_size": checkpoint.tree_size,
            "witness": name,
            "cosigned_at": at,
            "line": encode_note_signatures([line]).decode(),
        }
        with runtime.transaction() as session:
            session.execute(insert(LogCosignatureRow).values(**row).on_conflict_do_nothing())
        return
    raise FormatError("it answered with no signature line that its key verifies")
