"""One message to one address: resolved once, checked, pinned; signed; sent with no redirect followed, in bounded time.

1. The name is resolved once, and every address that comes back must be public; the connection goes to the first of them
   and to nothing else, so an answer that changes between check and use (DNS rebinding) gains nothing.
2. Over TLS, with the certificate of the name. A 3xx is a failure like any other, as the specification asks.
3. The body of an answer is not read. What is before it must have come when `SEND_SECONDS` are over, however steadily it
   drips: a timeout of httpx is of one read only, and whoever sends holds a slot that others wait for.
4. An address may hold a secret, so it is in no message of an error and in no log.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx

from registry.outbound import Addresses, name_sent
from sdk.errors import InputError
from sdk.signing.signer import Signer

SEND_SECONDS: Final = 15.0  # for the whole of one attempt, from connecting to the last header of the answer
_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "imprimatur-webhooks/1"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message as it is sent; the same id again is the same message."""

    id: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one attempt went."""

    status: int | None
    fault: str | None  # none: delivered

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no message ever again."""
        return self.status == httpx.codes.GONE


Send = Callable[[str, Message, datetime], Attempt]
"""Sends a message to an address at a moment."""


class Sender:
    """A `Send` over httpx; for threads in which no event loop runs."""

    def __init__(self, signer: Signer, addresses: Addresses, *, seconds: float = SEND_SECONDS) -> None:
        self._signer = signer
        self._addresses = addresses
        self._seconds = seconds

    def __call__(self, url: str, message: Message, at: datetime) -> Attempt:
        try:
            pinned = self._addresses.pin(url)
        except InputError as exc:
            return Attempt(status=None, fault=exc.message)
        headers = _HEADERS | signed_headers(self._signer, message, at)
        try:
            status = asyncio.run(self._post(httpx.URL(url), pinned, headers, message.content))
        except TimeoutError:
            return Attempt(status=None, fault=f"no answer in {self._seconds:g} s")
        except httpx.HTTPError as exc:
            return Attempt(status=None, fault=f"no answer: {type(exc).__name__}")
        return Attempt(status=status, fault=None if 200 <= status < 300 else f"answered {status}")

    async def _post(self, target: httpx.URL, pinned: str, headers: dict[str, str], content: bytes) -> int:
        """The status that is answered. Raises `TimeoutError` when the time is over, or `httpx.HTTPError`."""
        waits = httpx.Timeout(
            None, connect=self._seconds / 3
        )  # each for TCP and TLS: a handshake is closed by this alone
        async with (
            asyncio.timeout(self._seconds),
            httpx.AsyncClient(timeout=waits, follow_redirects=False, trust_env=False) as client,
            client.stream(
                "POST",
                target.copy_with(host=pinned),
                content=content,
                headers=headers | {"Host": target.netloc.decode()},
                extensions={"sni_hostname": name_sent(target)},
            ) as response,
        ):
            return response.status_code


def signed_headers(signer: Signer, message: Message, at: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks, signed as `v1a`."""
    moment = str(int(at.timestamp()))
    signature = signer.sign(b".".join((message.id.encode(), moment.encode(), message.content)))
    return {
        "webhook-id": message.id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
    }
