"""`imprimatur usage`."""

from __future__ import annotations

import pytest
from support.asgi import AsgiTransport
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import USE, Steps, accepted, refused
from support.workshop import Workshop

from sdk.cli.application import run
from sdk.client import Client


@pytest.fixture
def served(auditor: Workshop, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> RegistryUnderTest:
    """The command speaks to a real registry, as its auditor."""
    credential = registry.credentials["auditor"]
    carrier = AsgiTransport(registry.app)
    monkeypatch.setattr("sdk.cli.connection.connect", lambda _: Client(BASE_URL, credential, transport=carrier))
    return registry


class TestUsage:
    def test_shows_rows_and_the_total(self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
        steps = Steps(served)
        fox = steps.approved()
        accepted(steps.compose(fox, key="a" * 16))
        refused(steps.compose(fox, use=USE.model_copy(update={"purpose": "politics"})), 403, "policy.denied")
        assert run(["usage", "--by", "concept", "--by", "month", "--since", "2026-06-01"]) == 0
        lines = [line.strip("│ ").split() for line in capsys.readouterr().out.splitlines()]
        numbers = [[word for word in line if word != "│"] for line in lines]
        assert ["demo/fox", "2026-06", "1", "1", "2", "0"] in numbers
        assert ["total", "1", "1", "2", "0"] in numbers

    def test_counts_from_a_moment_in_any_zone(
        self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        steps = Steps(served)
        accepted(steps.compose(steps.approved()))  # at 12:00 UTC
        for since, found in (("2026-06-01T20:30:00+0900", True), ("2026-06-01T21:30:00+0900", False)):
            assert run(["usage", "--since", since]) == 0
            assert ("demo/fox" in capsys.readouterr().out) is found, since

    def test_refuses_a_territory_that_is_none(
        self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["usage", "--territory", "Japan"]) == 1
        assert "expected a territory such as 'JP' or 'WORLD', found 'Japan'" in capsys.readouterr().err

    def test_says_that_there_is_none(self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["usage"]) == 0
        assert capsys.readouterr().out == "Usage: none\n"
