"""`imprimatur` as somebody of the registry under test: real commands, real client, real registry, in one process.

command_line = CommandLine(registry, monkeypatch, capsys, tmp_path)
command_line("subject", "consent", "list")      # what it printed; it must have gone well
command_line.refused("subject", "...")          # what it complained of
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.registry import BASE_URL, RegistryUnderTest

from sdk.cli.application import run
from sdk.client import Client
from sdk.spec.envelope import encode_envelope


@dataclass(frozen=True)
class CommandLine:
    """Runs commands as principals of `registry`."""

    registry: RegistryUnderTest
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    folder: Path  # for profiles

    def __call__(self, name: str, *arguments: str) -> str:
        status, out, error = self._run(name, arguments)
        assert status == 0, error
        return out

    def refused(self, name: str, *arguments: str) -> str:
        status, _, error = self._run(name, arguments)
        assert status != 0
        return error

    def _run(self, name: str, arguments: tuple[str, ...]) -> tuple[int, str, str]:
        registry = self.registry

        def connect(_: object) -> Client:
            return Client(BASE_URL, registry.credentials[name], transport=registry.transport)

        self.monkeypatch.setenv("COLUMNS", "240")
        self.monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
        self.monkeypatch.setenv("IMPRIMATUR_PROFILE", str(self._profile(name)))
        self.monkeypatch.setattr("sdk.cli.connection.connect", connect)
        self.capsys.readouterr()
        status = run(list(arguments))
        printed = self.capsys.readouterr()
        return status, printed.out, printed.err

    def _profile(self, name: str) -> Path:
        (self.folder / "trust-root.json").write_bytes(encode_envelope(self.registry.runtime.trust_root_envelope))
        path = self.folder / f"{name}.toml"
        members = {"registry": BASE_URL, "principal": self.registry.principals[name], "trust_root": "trust-root.json"}
        members["credential"] = self.registry.credentials[name]
        key = self.registry.keys[name]._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.pem").write_bytes(key)
        members["signing_key"] = f"{name}.pem"
        path.write_text("".join(f'{key} = "{value}"\n' for key, value in members.items()))
        path.chmod(0o600)
        return path
