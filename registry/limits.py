"""Bounds on request bodies, before anything reads them: pure ASGI, no route can forget it.

A body whose declared length is over the bound is refused unread; one that turns out longer is cut off there.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.errors import ErrorAnswer, problem_answer, status_of
from sdk.errors import PayloadTooLarge

BLOBS_PREFIX: Final = "/v1/blobs/"
_FILES: Final = (("PUT", BLOBS_PREFIX), ("POST", "/console/origins"))
"""How and where files are sent: blobs, and pictures whose origin is asked for in the console."""


class BodyLimit:
    """ASGI middleware: `max_blob_bytes` where files are sent, `max_body_bytes` everywhere else."""

    def __init__(
        self, app: ASGIApp, *, max_body_bytes: int, max_blob_bytes: int, answer: ErrorAnswer = problem_answer
    ) -> None:
        self._app = app
        self._answer = answer
        self._max_body_bytes = max_body_bytes
        self._max_blob_bytes = max_blob_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        takes_files = any(scope["method"] == how and scope["path"].startswith(where) for how, where in _FILES)
        limit = self._max_blob_bytes if takes_files else self._max_body_bytes
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            error = PayloadTooLarge(f"{scope['method']} {scope['path']}: {_too_large(limit)}")
            await self._answer(Request(scope), error, status_of(error))(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            # Raised while something reads the body: FastAPI lets this class pass where it hides any other.
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit))
        return message

    return receive_counted


def _too_large(limit: int) -> str:
    return f"the body has more than {limit} bytes"
