"""A receiver of webhooks on loopback, and a verifier of `v1a` signatures written from the text of the specification.

    with webhook_receiver() as receiver:
        receiver.answers = [500, 200]       # in this order, then 200
        receiver.verified(public_key)       # the messages that came, each verified

The PyPI package `standardwebhooks` (1.1.0) verifies `v1` (HMAC) only, so it cannot be the judge here.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass
class Receiver:
    """What came, and what is answered."""

    address: str
    answers: list[int] = field(default_factory=list)
    location: str = ""
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def verified(self, public_key: str) -> list[dict[str, Any]]:
        """The messages so far with their ids, each verified. Raises `InvalidSignature`."""
        return [verify(public_key, headers, body) | {"id": headers["webhook-id"]} for headers, body in self.came]


def verify(public_key: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Standard Webhooks 1.0: verify the `v1a` signature over `id.timestamp.body`; returns the message."""
    assert public_key.startswith("whpk_")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_"), validate=True))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    offered = [part.split(",", 1) for part in headers["webhook-signature"].split(" ")]
    (signature,) = [value for version, value in offered if version == "v1a"]
    key.verify(base64.b64decode(signature, validate=True), signed)
    message: dict[str, Any] = json.loads(body)
    return message


@contextmanager
def webhook_receiver() -> Iterator[Receiver]:
    """Start it on a free port; it ends with the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
