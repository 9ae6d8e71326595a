"""A stand-in of Vault's transit engine on loopback, after its HTTP API; `hvac`, and so securesystemslib, talk to it for real.

    with vault_transit(monkeypatch) as vault:      # VAULT_ADDR and VAULT_TOKEN are set
        vault.rotate("imprimatur-log")             # makes the key, or its next version

https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "s.test"


@dataclass
class Transit:
    """Its keys by name, the versions of each in order; `calls` is what was asked for."""

    signing: dict[str, list[Ed25519PrivateKey]] = field(default_factory=dict)
    sealing: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def rotate(self, name: str) -> None:
        self.signing.setdefault(name, []).append(Ed25519PrivateKey.generate())

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The `data` of the answer; none where Vault says 404, and `ValueError` where it says 400."""
        operation, _, name = path.removeprefix("/v1/transit/").partition("/")
        self.calls.append(operation)
        if operation in ("keys", "sign") and name in self.signing:
            return self._sign(name, body) if operation == "sign" else self._key(name)
        if operation in ("encrypt", "decrypt") and name in self.sealing:
            return getattr(self, f"_{operation}")(AESGCM(self.sealing[name]), body)
        return None

    def _key(self, name: str) -> dict[str, Any]:
        public = [_text(key.public_key().public_bytes_raw()) for key in self.signing[name]]
        return {"type": "ed25519", "keys": {str(n): {"public_key": key} for n, key in enumerate(public, start=1)}}

    def _sign(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        version = body.get("key_version") or len(self.signing[name])
        signature = self.signing[name][version - 1].sign(base64.b64decode(body["input"]))
        return {"signature": f"vault:v{version}:{_text(signature)}"}

    def _encrypt(self, cipher: AESGCM, body: dict[str, Any]) -> dict[str, Any]:
        nonce, about = os.urandom(12), base64.b64decode(body["associated_data"])
        sealed = cipher.encrypt(nonce, base64.b64decode(body["plaintext"]), about)
        return {"ciphertext": f"vault:v1:{_text(nonce + sealed)}"}

    def _decrypt(self, cipher: AESGCM, body: dict[str, Any]) -> dict[str, Any]:
        sealed = base64.b64decode(body["ciphertext"].removeprefix("vault:v1:"))
        try:
            opened = cipher.decrypt(sealed[:12], sealed[12:], base64.b64decode(body["associated_data"]))
        except InvalidTag as exc:
            raise ValueError("cipher: message authentication failed") from exc
        return {"plaintext": _text(opened)}


@contextmanager
def vault_transit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Transit]:
    """Start it on a free port, with the environment that finds it; it ends with the block."""
    transit = Transit()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.headers["X-Vault-Token"] != TOKEN:
                return self._send(403, {"errors": ["permission denied"]})
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
            try:
                data = transit.answer(self.path, body)
            except ValueError as exc:
                return self._send(400, {"errors": [str(exc)]})
            return self._send(404, {"errors": []}) if data is None else self._send(200, {"data": data})

        def do_GET(self) -> None:
            self.do_POST()

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield transit
        finally:
            server.shutdown()
            thread.join()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
