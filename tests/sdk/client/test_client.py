"""The client calls every route of the vocabulary as it is written there, and parses its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.answering import Seen, client_of, wire
from support.client_calls import CALLS
from support.governed import record_id
from support.route_maps import registry_map
from support.wire_values import (
    DIGEST,
    RAW,
    WEBHOOK,
)

from sdk.client import Client
from sdk.spec import rendering, training

PARTS = {
    "generation": str(record_id("gen")),
    "position": "1",
    "alias": "stable",
    "tenant": "demo",
    "name": "fox",
    "number": "1",
    "index": "1",
    "digest": str(DIGEST),
}


def expected_target(route: str) -> str:
    """The method and target of a call of CALLS, with its parameters filled in."""
    prefixes = {"consents": "con", "licences": "lic", "generations": "gen", "jobs": "job", "erasures": "era"}
    parts = dict(PARTS)
    if route.endswith("/files/{name}"):
        parts["name"] = "a/b.png"
    kind = re.search(r"/(\w+)/\{id\}", route)
    if kind:
        parts["id"] = WEBHOOK.id if kind[1] == "webhooks" else record_id(prefixes[kind[1]])
    return re.sub(r"\{(\w+)\}", lambda match: str(parts[match[1]]), route)


class TestRoutes:
    @pytest.mark.parametrize(("route", "call", "answer"), CALLS, ids=[route for route, _, _ in CALLS])
    def test_calls_its_route_and_parses_its_answer(
        self, route: str, call: Callable[[Client], Any], answer: Any
    ) -> None:
        service = Seen(httpx.Response(200, content=b"content") if answer is RAW else wire(answer))
        with client_of(service) as client:
            result = call(client)
        request = service.requests[0]
        assert f"{request.method} {request.url.raw_path.decode()}" == expected_target(route)
        assert request.headers["Authorization"] == "Bearer imp_secret"
        assert result in (b"content", DIGEST) if answer is RAW else result == answer

    def test_every_route_of_the_vocabulary_has_a_method(self) -> None:
        trainers = f"{training.__doc__}\n{rendering.__doc__}"
        mapped = registry_map() + re.findall(r"^    (GET|PUT|POST)\s+(/\S+?)(?:\?\S*)?\s", trainers, re.MULTILINE)
        called = {route.split("?")[0] for route, _, _ in CALLS}
        wanted = {
            f"{method} {path}"
            for method, path in mapped
            if "/log/tile/" not in path  # tiles have paths of their own
        }
        assert len(wanted) > 30
        assert wanted <= called
