"""/v1/resolve, answered again as it was while nothing can have changed. Pure ASGI, before anything is parsed.

An answer is kept for one credential and one query, together with the size of the log that it was made at, and is given
again if at this very moment (`registry.stamps`)
1. the log has the same size: nothing that is logged happened, and everything that changes a version is logged;
2. the credential is in force;
3. it is younger than `FOR_SECONDS`, by the monotonic clock: what time alone changes (a term that is over) is seen that soon.
An answer is kept only if the log had one size before and after it was made. Of several who ask for the same at once, one
makes the answer and the others look again, so a crowd costs one. Tokens of an issuer are never answered from here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.conditional import matches
from registry.rate_limits import CALLER
from registry.stamps import Stamp, Stamps
from sdk.spec.digest import Digest

PATH: Final = "/v1/resolve"
FOR_SECONDS: Final = 1.0
_MOST: Final = 4096
_BEARER: Final = re.compile(r"Bearer (imp_[A-Za-z0-9_-]{43})", re.IGNORECASE)
_ROUTE: Final = SimpleNamespace(path=PATH)  # what the metrics name a request by

_Key = tuple[Digest, bytes]


@dataclass(frozen=True, kw_only=True)
class _Kept:
    newest_entry: int
    until: float
    headers: tuple[tuple[bytes, bytes], ...]
    tag: str
    body: bytes
    caller: Any


class ResolveCache:
    """ASGI middleware; see the module docstring."""

    def __init__(self, app: ASGIApp, *, stamps: Stamps) -> None:
        self._app = app
        self._stamps = stamps
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._making: dict[_Key, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key, asked = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        stamp = await self._stamps.look(key[0])
        if not self._may_answer(key, stamp) and (making := self._making.get(key)):
            await making.wait()
            stamp = await self._stamps.look(key[0])
        if self._may_answer(key, stamp):
            kept = self._kept[key]
            scope["route"] = _ROUTE
            scope.setdefault("state", {})[CALLER] = kept.caller
            await _answer(kept, asked, send)
        elif stamp is None or key in self._making:  # nothing could be kept: each asks for itself
            await self._app(scope, receive, send)
        else:
            await self._make(key, stamp.newest_entry, scope, receive, send)

    def _may_answer(self, key: _Key, stamp: Stamp | None) -> bool:
        kept = self._kept.get(key)
        return bool(
            kept
            and stamp
            and stamp.in_force
            and kept.newest_entry == stamp.newest_entry
            and time.monotonic() < kept.until
        )

    async def _make(self, key: _Key, before: int, scope: Scope, receive: Receive, send: Send) -> None:
        self._making[key] = asyncio.Event()
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        try:
            await self._app(scope, receive, collect)
            after = await self._stamps.look(key[0])
            if after and after.newest_entry == before:
                self._keep(key, before, messages, scope)
        finally:
            self._making.pop(key).set()
        for message in messages:
            await send(message)

    def _keep(self, key: _Key, newest_entry: int, messages: list[Message], scope: Scope) -> None:
        start, *rest = messages
        headers = Headers(raw=start["headers"])
        caller = scope.get("state", {}).get(CALLER)
        if start["status"] != 200 or caller is None or "etag" not in headers:
            return
        self._kept[key] = _Kept(
            newest_entry=newest_entry,
            until=time.monotonic() + FOR_SECONDS,
            headers=tuple(start["headers"]),
            tag=headers["etag"],
            body=b"".join(message.get("body", b"") for message in rest),
            caller=caller,
        )
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def _key(scope: Scope) -> tuple[_Key | None, str]:
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
        return None, ""
    headers = Headers(scope=scope)
    bearer = _BEARER.fullmatch(headers.get("authorization", ""))
    if bearer is None:
        return None, ""
    return (Digest.of(bearer[1].encode()), scope["query_string"]), headers.get("if-none-match", "")


async def _answer(kept: _Kept, asked: str, send: Send) -> None:
    if not (asked and matches(asked, kept.tag)):
        await send({"type": "http.response.start", "status": 200, "headers": list(kept.headers)})
        await send({"type": "http.response.body", "body": kept.body})
        return
    headers = MutableHeaders(raw=list(kept.headers))
    del headers["content-length"]
    del headers["content-type"]
    await send({"type": "http.response.start", "status": 304, "headers": headers.raw})
    await send({"type": "http.response.body", "body": b""})
