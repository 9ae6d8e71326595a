"""Conditional reads (RFC 9110, sections 8.8 and 13): every JSON answer to a GET has a strong ETag, the digest of its bytes.

A client that sends it as `If-None-Match` is answered 304 while nothing changed. What may not be stored (`no-store`) and
what never changes (a full tile of the log) says so itself and is left alone. A 304 shows a caller nothing that it may not
read: it is only made of an answer that this caller would have got.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sdk.spec.digest import Digest

_API: Final = "/v1/"
_TAGS: Final = re.compile(r'(?:W/)?("[^"]*")')


class ConditionalReads:
    """ASGI middleware; see the module docstring."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(_API):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("if-none-match", "")
        held: list[Message] = []

        async def conditional(message: Message) -> None:
            if message["type"] == "http.response.start" and _has_tag(message):
                held.append(message)
                return
            if held:
                start = held.pop()
                if not message.get("more_body", False):
                    message = _tagged(start, message, asked)
                await send(start)
            await send(message)

        await self._app(scope, receive, conditional)


def _has_tag(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return start["status"] == 200 and "cache-control" not in headers and "etag" not in headers


def _tagged(start: Message, message: Message, asked: str) -> Message:
    headers = MutableHeaders(raw=start["headers"])
    tag = etag(message.get("body", b""))
    headers["ETag"] = tag
    headers["Cache-Control"] = "private, no-cache"  # kept by this caller, and asked about before it is used
    headers["Vary"] = "Authorization"
    if matches(asked, tag):
        start["status"] = 304
        del headers["content-length"]
        del headers["content-type"]
        message = {**message, "body": b""}
    start["headers"] = headers.raw
    return message


def etag(content: bytes) -> str:
    """The strong validator of these bytes."""
    return f'"{Digest.of(content).hex}"'


def matches(asked: str, tag: str) -> bool:
    """Whether `If-None-Match: asked` names `tag`, compared weakly as RFC 9110 section 13.1.2 says."""
    return asked.strip() == "*" or tag in _TAGS.findall(asked)
