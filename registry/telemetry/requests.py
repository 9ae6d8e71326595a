"""One request: its id, its line in the log, its measurement. Pure ASGI and outermost, so that nothing is missed.

An `X-Request-Id` that the caller sends is kept if it is short and plain, else one is made; the answer carries it.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from dataclasses import dataclass
from http import HTTPMethod
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.errors import PROBLEM_MEDIA_TYPE
from registry.telemetry.logs import FACTS, REQUEST_ID
from registry.telemetry.metrics import Metrics

HEADER: Final = "X-Request-Id"
UNMATCHED: Final = "(none)"
_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS: Final = frozenset(method.value for method in HTTPMethod)
_MAX_PROBLEM_BYTES: Final = 65_536
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds by machines
_logger = logging.getLogger(__name__)


@dataclass
class _Answer:
    """What was seen of the answer so far."""

    status: int = 500
    problem: bytes | None = None


class Requests:
    """ASGI middleware; see the module docstring."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, mounts: tuple[str, ...] = ()) -> None:
        """`mounts` are the paths of applications inside this one, which are each counted as one route."""
        self._app = app
        self._metrics = metrics
        self._mounts = mounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(HEADER, "")
        request_id = asked if _ID.fullmatch(asked) else secrets.token_hex(8)
        answer, started = _Answer(), time.perf_counter()

        async def observe(message: Message) -> None:
            _note(answer, message, request_id)
            await send(message)

        held = REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, observe)
        finally:
            self._tell(scope, answer, time.perf_counter() - started)
            REQUEST_ID.reset(held)

    def _tell(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"  # a caller may invent any
        route = self._route(scope)
        self._metrics.answered(method, route, answer.status, seconds)
        facts: dict[str, object] = {"method": method, "route": route, "status": answer.status}
        if code := _code(answer.problem):
            self._metrics.refused(code)
            facts["code"] = code
        if route not in _QUIET or answer.status >= 400:
            facts["ms"] = round(seconds * 1000, 1)
            _logger.info("answered", extra={FACTS: facts})

    def _route(self, scope: Scope) -> str:
        for mount in self._mounts:
            if scope["path"].startswith(f"{mount}/"):
                return f"{mount}/..."
        return getattr(scope.get("route"), "path", UNMATCHED)


def _note(answer: _Answer, message: Message, request_id: str) -> None:
    if message["type"] == "http.response.start":
        answer.status = message["status"]
        headers = MutableHeaders(scope=message)
        headers[HEADER] = request_id
        if headers.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE):
            answer.problem = b""
    elif answer.problem is not None and len(answer.problem) < _MAX_PROBLEM_BYTES:
        answer.problem += message.get("body", b"")


def _code(problem: bytes | None) -> str:
    if problem is None:
        return ""
    try:
        return str(json.loads(problem)["code"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"
