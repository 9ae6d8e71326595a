"""`imprimatur whoami` and `imprimatur status`."""

from __future__ import annotations

import pytest
from support.asgi import AsgiTransport
from support.registry import BASE_URL, RegistryUnderTest
from support.workshop import Workshop

from sdk.cli.application import run
from sdk.client import Client


@pytest.fixture
def served(auditor: Workshop, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> RegistryUnderTest:
    """The command speaks to a real registry, as its auditor; the trainer is the same application."""
    carrier, credential = AsgiTransport(registry.app), registry.credentials["auditor"]
    monkeypatch.setattr(
        "sdk.cli.connection.connect",
        lambda _: Client(BASE_URL, credential, trainer_url=BASE_URL, transport=carrier, sleep=lambda _: None),
    )
    return registry


class TestWhoami:
    def test_shows_principal_and_roles(self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["whoami"]) == 0
        assert "demo/auditor at " in capsys.readouterr().out


class TestStatus:
    def test_says_that_the_registry_is_ready(
        self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["status"]) == 0
        assert "registry: ready, version " in capsys.readouterr().out

    def test_names_what_cannot_serve_and_fails(
        self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        served.clock.advance(days=400)
        assert run(["status"]) == 1
        assert "registry: not ready; log key: the trust root that names it has expired" in capsys.readouterr().out
