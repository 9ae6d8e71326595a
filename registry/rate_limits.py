"""Rate limits: a token bucket for each principal, and one for each address from which nobody known calls.

A bucket is of this process. With several processes a caller gets the rate of each, which bounds what one caller can do to
the registry just as well; a count in the database would be one more write for every read, and would go with the database.
The check is made before anything else is asked, so a flood costs no query:
1. A credential, or a browser's cookies, that were good lately are charged to their principal: from the answer that says
   whose they are until one says nobody's. Answers that ask for no credential (public routes, replays) change nothing.
2. Everything else (no credential, one not seen yet, one that is refused) is charged to the address it comes from.
So whoever shares an address with a flood goes on working. Probes are free. An IPv6 address stands for its /64.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.errors import ErrorAnswer, problem_answer, status_of
from sdk.errors import TooManyRequests
from sdk.spec.digest import Digest

FREE: Final = frozenset({"/healthz", "/readyz", "/metrics"})
CALLER: Final = "caller"
"""Where in a request's state whoever authenticates leaves the `Caller`; none: what was shown is nobody's."""
_NOT_ASKED: Final = object()
_MOST: Final = 20_000  # buckets, and credentials remembered; the one longest unused goes first


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many requests a second in the long run, so many at once."""

    per_second: int
    burst: int


class Buckets:
    """Token buckets by name; full when new."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name to tokens, and when that was

    def take(self, name: str) -> float:
        """Take a token; returns 0, or the seconds until there will be one."""
        now = self._clock()
        tokens, since = self._held.pop(name, (float(self._rate.burst), now))
        tokens = min(self._rate.burst, tokens + (now - since) * self._rate.per_second)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate.per_second
        self._held[name] = (tokens - 1 if not wait else tokens, now)
        if len(self._held) > _MOST:
            self._held.popitem(last=False)
        return wait


class RateLimit:
    """ASGI middleware; see the module docstring."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        principals: Rate,
        addresses: Rate,
        clock: Callable[[], float] = time.monotonic,
        answer: ErrorAnswer = problem_answer,
        browsers: str | None = None,  # beginning of the paths where cookies tell who calls, and nothing else does
    ) -> None:
        self._app = app
        self._browsers = browsers
        self._answer = answer
        self._principals = Buckets(principals, clock)
        self._addresses = Buckets(addresses, clock)
        self._known: OrderedDict[Digest, str] = OrderedDict()  # digest of a header to its principal
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        in_browser = self._browsers is not None and scope["path"].startswith(self._browsers)
        header = Headers(scope=scope).get("cookie" if in_browser else "authorization", "")
        shown = Digest.of(header.encode("latin-1")) if header else None
        if wait := self._take(scope, shown):
            await self._refusal(Request(scope), wait)(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._app(scope, receive, note)
        if shown:
            self._learn(shown, state, status)

    def _take(self, scope: Scope, shown: Digest | None) -> float:
        with self._lock:
            principal = self._known.get(shown) if shown else None
            if shown and principal:
                self._known.move_to_end(shown)
                return self._principals.take(principal)
            return self._addresses.take(_address(scope))

    def _refusal(self, request: Request, wait: float) -> Response:
        seconds = math.ceil(wait)
        error = TooManyRequests(f"too many requests; try again in {seconds} s, and more slowly")
        response = self._answer(request, error, status_of(error))
        response.headers["Retry-After"] = str(seconds)
        return response

    def _learn(self, shown: Digest, state: Mapping[str, Any], status: int) -> None:
        """Forget a credential that was refused, keep whose it is where that was found out, else leave it as it is."""
        caller = state.get(CALLER, _NOT_ASKED)
        principal = getattr(caller, "principal", None)
        with self._lock:
            if status == HTTPStatus.UNAUTHORIZED or caller is None:
                self._known.pop(shown, None)
            elif principal:
                self._known[shown] = str(principal)
                self._known.move_to_end(shown)
                if len(self._known) > _MOST:
                    self._known.popitem(last=False)


def _address(scope: Scope) -> str:
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
