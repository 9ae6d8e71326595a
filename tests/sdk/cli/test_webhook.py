"""`imprimatur webhook`, against the real registry."""

from __future__ import annotations

import re

import pytest
from support.asgi import AsgiTransport
from support.registry import BASE_URL, RegistryUnderTest
from support.workshop import Workshop

from sdk.cli.application import run
from sdk.client import Client


@pytest.fixture
def served(auditor: Workshop, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> RegistryUnderTest:
    """The command speaks to a real registry, as its administrator."""
    carrier, credential = AsgiTransport(registry.app), registry.credentials["admin"]
    monkeypatch.setattr("sdk.cli.connection.connect", lambda _: Client(BASE_URL, credential, transport=carrier))
    return registry


class TestWebhook:
    def test_is_made_listed_replayed_and_ended(
        self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["webhook", "create", "https://hooks.example.com/in", "--event", "version.approved"]
        assert run([*command, "--event", "version.revoked"]) == 0
        told = capsys.readouterr().out
        made = re.match(r"(whk_[a-z2-7]{26}) sends version\.approved, version\.revoked; .* whpk_", told)
        assert made, told
        assert run(["webhook", "list"]) == 0
        assert "in order" in capsys.readouterr().out
        assert run(["webhook", "replay", made[1], "--after", "-1"]) == 0
        assert "sends again from entry 0 on" in capsys.readouterr().out
        assert run(["webhook", "deliveries", made[1]]) == 0
        assert run(["webhook", "end", made[1]]) == 0
        assert run(["webhook", "end", made[1]]) == 1

    def test_refuses_an_address_without_tls(
        self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["webhook", "create", "http://hooks.example.com/in", "--event", "alias.set"]) == 1
        assert "should be https" in capsys.readouterr().err
