"""`imprimatur credential`, against the real registry."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support.asgi import AsgiTransport
from support.registry import BASE_URL, RegistryUnderTest
from support.workshop import Workshop

from sdk.cli.application import run
from sdk.client import Client
from sdk.profile import load_profile
from sdk.spec.digest import Digest

Act = Callable[[str], Path]


@pytest.fixture
def acting(auditor: Workshop, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> Act:
    """Makes the profile that of somebody of the real registry; its client bears what the profile holds."""
    path = auditor.profile.path
    held = auditor.profile.credential
    carrier = AsgiTransport(registry.app)
    monkeypatch.setattr(
        "sdk.cli.connection.connect",
        lambda profile: Client(BASE_URL, profile.credential, transport=carrier),
    )
    monkeypatch.setattr("sdk.cli.credential.now", registry.clock)

    def become(name: str) -> Path:
        path.write_text(path.read_text().replace(held, registry.credentials[name]))
        return path

    return become


class TestIssue:
    def test_prints_a_credential_that_works(
        self, acting: Act, registry: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        acting("admin")
        command = ["credential", "issue", "demo/shop", "--role", "app", "--scope", "concepts:read", "--days", "7"]
        assert run(command) == 0
        secret, told = capsys.readouterr().out.splitlines()
        assert told.startswith("for demo/shop until 2026-06-08; sha256:")
        with Client(BASE_URL, secret, transport=registry.transport) as client:
            assert client.whoami().scopes == ("concepts:read",)

    def test_is_refused_to_others_with_the_rule(self, acting: Act, capsys: pytest.CaptureFixture[str]) -> None:
        acting("app")
        assert run(["credential", "issue", "demo/shop", "--role", "app"]) == 1
        assert "administration.credentials-role" in capsys.readouterr().err


class TestList:
    def test_shows_who_holds_what(self, acting: Act, capsys: pytest.CaptureFixture[str]) -> None:
        acting("admin")
        assert run(["credential", "list"]) == 0
        shown = capsys.readouterr().out
        assert "demo/reviewer" in shown
        assert "never" in shown
        assert "other/" not in shown


class TestRotate:
    def test_puts_the_new_credential_into_the_profile(
        self, acting: Act, registry: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = acting("app")
        assert run(["credential", "rotate", "--overlap-hours", "1"]) == 0
        renewed = load_profile(path).credential
        assert renewed != registry.credentials["app"]
        assert renewed not in capsys.readouterr().out
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        registry.clock.advance(hours=2)
        assert run(["whoami"]) == 0

    def test_of_somebody_elses_prints_it(
        self, acting: Act, registry: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = acting("admin")
        before = path.read_text()
        assert run(["credential", "rotate", str(Digest.of(registry.credentials["app"].encode()))]) == 0
        assert capsys.readouterr().out.startswith("imp_")
        assert path.read_text() == before


class TestRevoke:
    def test_ends_it(self, acting: Act, registry: RegistryUnderTest) -> None:
        acting("admin")
        assert run(["credential", "revoke", str(Digest.of(registry.credentials["app"].encode()))]) == 0
        assert registry.client("app").get("/v1/whoami").status_code == 401
