"""A registry and a trainer behind an HTTP transport that accept everything, and remember it."""

from __future__ import annotations

from typing import Any

import httpx
from support.governed import NOW, World, record_id

from sdk.client import Client
from sdk.spec.api import ConceptView, NewConcept, RecordAccepted
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.training import JobView, TrainingRequest


class Studio:
    """A registry and a trainer that accept everything, and remember it."""

    def __init__(self) -> None:
        self.named: list[NewConcept] = []
        self.bodies: list[bytes] = []
        self.pictures: list[bytes] = []
        self.views: list[JobView] = []

    def client(self) -> Client:
        carrier = httpx.MockTransport(self.answer)
        return Client("http://registry.test", "imp_x", trainer_url="http://trainer.test", transport=carrier)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, request.read()
        if path == "/v1/concepts":
            concept = parse_wire(NewConcept, body, "concept")
            self.named.append(concept)
            members = concept.model_dump() | {"owner": "demo/owner", "created_at": NOW}
            return httpx.Response(201, content=encode_canonical(ConceptView(**members)))
        if path.startswith("/v1/concepts/"):
            known = path.endswith("/pier")
            view = ConceptView(id="demo/pier", kind="background", title="Pier", owner="demo/owner", created_at=NOW)
            return httpx.Response(200, content=encode_canonical(view)) if known else httpx.Response(404)
        if path.startswith("/v1/pictures/"):
            self.pictures.append(body)
            return httpx.Response(201)
        if path in ("/v1/consents", "/v1/licences"):
            self.bodies.append(body)
            receipt = World().log.receipt(1)
            accepted = RecordAccepted(id=record_id("con"), digest=Digest.of(body), receipt=receipt)
            return httpx.Response(201, content=encode_canonical(accepted))
        if request.method == "POST":
            self.bodies.append(body)
        return httpx.Response(
            200, content=encode_canonical(self.views.pop(0) if len(self.views) > 1 else self.views[0])
        )


def job(status: str, **members: Any) -> JobView:
    request = TrainingRequest.model_validate(
        {
            "concepts": [
                {
                    "id": "demo/fox",
                    "kind": "subject",
                    "class_word": "fox",
                    "consents": [record_id("con")],
                    "licences": [record_id("lic")],
                }
            ],
            "pictures": [{"name": "a.png", "digest": Digest.of(b"a"), "concepts": ["demo/fox"]}],
        }
    )
    return JobView(
        id=record_id("job"), status=status, requested_by="demo/trainer", request=request, created_at=NOW, **members
    )
