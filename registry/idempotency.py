"""Idempotency keys: a POST that is sent again with the same `Idempotency-Key` is done once and answered alike.

After the IETF draft "The Idempotency-Key HTTP Header Field" (httpapi, 07). The rules:
1. A key belongs to the principal who sent it, for 24 hours, and to one request: method, path, query, body, and the roles
   that the credential has.
2. It is claimed in the very transaction of the act. So the key is kept exactly if the act is, wherever a crash falls.
3. What was answered is kept after that and sent again as it was, refusals that left a trace included. An act that left
   none claims nothing, and may be tried again.
4. If the answer was lost between the two, or was that something failed after the act, a repetition is refused with a
   Conflict: the act is done, its outcome can be read, and it is not done twice. So it is, always, with an answer that says `Cache-Control: no-store`: it holds a secret.
A credential is checked before anything is read or replayed. Bodies are bounded before this (`registry.limits`).
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from sqlalchemy import String, delete, update
from sqlalchemy.orm import Mapped, Session, mapped_column
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.auth import Caller, identify
from registry.db import Base
from registry.errors import DATABASE_AWAY, database_away, problem_response
from registry.runtime import Runtime, runtime_of
from registry.scopes import require_scope
from sdk.errors import AuthenticationRequired, Conflict, ImprimaturError, InputError, PayloadTooLarge
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, TenantName

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
KEPT_FOR: Final = timedelta(hours=24)
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_logger = logging.getLogger(__name__)


class IdempotencyKeyRow(Base):
    """A key that was used, and what was answered once that is known."""

    __tablename__ = "idempotency_keys"

    principal: Mapped[PrincipalId] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String, primary_key=True)
    tenant: Mapped[TenantName]
    request: Mapped[Digest]
    claimed_at: Mapped[datetime]
    status: Mapped[int | None]
    media_type: Mapped[str | None]
    body: Mapped[bytes | None]


@dataclass
class Claim:
    """A key that waits for the act it belongs to; `registry.runtime` makes it the act's first statement."""

    runtime: Runtime
    caller: Caller
    key: str
    request: Digest
    made_at: datetime | None = None

    def __call__(self, session: Session) -> None:
        """Claim the key in the act's transaction, once."""
        if self.made_at:
            return
        now = self.runtime.clock()
        mine = IdempotencyKeyRow.principal == self.caller.principal
        session.execute(delete(IdempotencyKeyRow).where(mine, IdempotencyKeyRow.claimed_at < now - KEPT_FOR))
        session.add(
            IdempotencyKeyRow(
                principal=self.caller.principal,
                key=self.key,
                tenant=self.caller.tenant,
                request=self.request,
                claimed_at=now,
            )
        )
        session.flush()
        self.made_at = now


class IdempotencyKeys:
    """ASGI middleware around the routes; see the module docstring."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else None
        if key is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            caller = await run_in_threadpool(self._caller, request, key)
        except ImprimaturError as exc:
            await problem_response(exc)(scope, receive, send)
            return
        except DATABASE_AWAY:  # out here nobody else translates it
            await problem_response(database_away())(scope, receive, send)
            return
        if caller is None:  # the routes will say so; nothing is read from a stranger before
            await self._app(scope, receive, send)
            return
        try:
            body = await request.body()
        except HTTPException as exc:  # of the limit; out here nobody else translates it
            await problem_response(PayloadTooLarge(f"POST {request.url.path}: {exc.detail}"))(scope, receive, send)
            return
        try:
            found = await run_in_threadpool(self._find, request, caller, key, body)
        except ImprimaturError as exc:
            found = problem_response(exc)
        except DATABASE_AWAY:
            found = problem_response(database_away())
        if isinstance(found, Response):
            await found(scope, receive, send)
        else:
            await self._act(scope, body, send, found)

    async def _act(self, scope: Scope, body: bytes, send: Send, claim: Claim) -> None:
        """Let the routes answer; what they answered is kept before it is sent."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def collect(message: Message) -> None:
            messages.append(message)

        scope.setdefault("state", {})["runtime"] = replace(claim.runtime, claim=claim)
        await self._app(scope, receive, collect)
        if claim.made_at:
            try:
                await run_in_threadpool(self._keep, claim, messages)
            except DATABASE_AWAY as exc:  # the act is done, so its answer is given; rule 4 holds for a repetition
                _logger.warning("an answer could not be kept: %s", type(exc).__name__)
        for message in messages:
            await send(message)

    def _caller(self, request: Request, key: str) -> Caller | None:
        """Who calls; none when nobody is known to.

        Raises:
            PermissionDenied: the credential is limited to other scopes.
            InputError: the key is none.
        """
        try:
            caller = identify(runtime_of(request), request.headers.get("Authorization"))
        except AuthenticationRequired:
            return None
        require_scope(caller.scopes, request.method, request.url.path)
        if not _KEY.fullmatch(key):
            raise InputError(f"{HEADER} should be 16 to 64 of A-Z a-z 0-9 _ -, found {key!r}")
        return caller

    def _find(self, request: Request, caller: Caller, key: str, body: bytes) -> Response | Claim:
        """The answer that is kept, else the claim to make.

        Raises:
            InputError: the key was sent with another request.
            Conflict: the act is done or under way, and its answer is not kept.
        """
        runtime = runtime_of(request)
        held, sent = (
            " ".join(sorted(role.value for role in caller.roles)),
            ["POST", request.url.path, request.url.query],
        )
        asked, before = (Digest.of("\n".join([*told, ""]).encode() + body) for told in ([*sent, held], sent))
        with runtime.transaction(caller.tenant) as session:
            row = session.get(IdempotencyKeyRow, (caller.principal, key))
        if row is None or row.claimed_at < runtime.clock() - KEPT_FOR:
            return Claim(runtime=runtime, caller=caller, key=key, request=asked)
        if row.request == before:  # kept by code that did not ask for roles
            raise _done_already(row)
        return _replay(row, asked)

    def _keep(self, claim: Claim, messages: list[Message]) -> None:
        start = next(message for message in messages if message["type"] == "http.response.start")
        if start["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return  # the act is done, and something after it failed: rule 4 tells that, this answer does not
        if "no-store" in Headers(raw=start["headers"]).get("cache-control", ""):
            return  # it holds a secret: a repetition is told that the act is done, by rule 4
        body = b"".join(message.get("body", b"") for message in messages)
        statement = (
            update(IdempotencyKeyRow)  # of no row, if the act was undone; nor of one that was claimed since
            .where(IdempotencyKeyRow.principal == claim.caller.principal, IdempotencyKeyRow.key == claim.key)
            .where(IdempotencyKeyRow.request == claim.request, IdempotencyKeyRow.claimed_at == claim.made_at)
            .where(IdempotencyKeyRow.status.is_(None))
            .values(status=start["status"], media_type=Headers(raw=start["headers"]).get("content-type"), body=body)
        )
        with claim.runtime.transaction(claim.caller.tenant) as session:
            session.execute(statement)


def _replay(row: IdempotencyKeyRow, asked: Digest) -> Response:
    if row.request != asked:
        raise InputError(f"the key {row.key} was sent with another request; make a new key for each request")
    if row.status is None:
        raise _done_already(row)
    return Response(row.body, row.status, media_type=row.media_type, headers={REPLAYED: "true"})


def _done_already(row: IdempotencyKeyRow) -> Conflict:
    return Conflict(f"the request with key {row.key} was taken up, and its answer is not there; see what stands")
