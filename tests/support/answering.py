"""A service that answers a client with what it was told to, and remembers what it was asked. For tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from sdk.client import Client
from sdk.spec.canonical import WireModel, encode_canonical

REGISTRY, TRAINER = "http://registry.test", "http://trainer.test"
Handler = Callable[[httpx.Request], httpx.Response]


class Seen:
    """A service that records what it was asked and answers with what it was told to."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)


def client_of(handler: Handler, pauses: list[float] | None = None) -> Client:
    """A client that notes how long it would have waited."""
    carrier = httpx.MockTransport(handler)
    waited = [] if pauses is None else pauses
    return Client(REGISTRY, "imp_secret", trainer_url=TRAINER, transport=carrier, sleep=waited.append)


def wire(value: WireModel, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=encode_canonical(value))


def problem(status: int, code: str, **members: Any) -> httpx.Response:
    body = {"type": f"urn:imprimatur:error:{code}", "title": "no", "status": status, "detail": "because", "code": code}
    return httpx.Response(status, json=body | members)
