"""`imprimatur review`: the queue, requests, assignments, comments, as people see them, over the real registry."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import Steps, accepted

from sdk.cli.application import run
from sdk.client import Client
from sdk.spec.ids import PrincipalId

As = Callable[..., int]


@pytest.fixture
def as_(registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> As:
    """Run a command as somebody of the registry."""

    class Chosen:
        principal = PrincipalId("demo/nobody")

    def command(name: str, *words: str) -> int:
        Chosen.principal = registry.principals[name]
        monkeypatch.setattr("sdk.cli.connection.load_profile", lambda profile: Chosen)
        monkeypatch.setattr(
            "sdk.cli.connection.connect",
            lambda profile: Client(BASE_URL, registry.credentials[name], transport=registry.transport),
        )
        return run(["review", *words])

    return command


class TestReview:
    def test_takes_a_draft_from_request_to_comments(
        self, registry: RegistryUnderTest, as_: As, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Steps(registry).drafted()
        due = "2026-06-02T21:00+09:00"
        assert as_("owner", "request", "demo/fox@1", "--reviewer", "demo/reviewer", "--due", due) == 0
        assert "demo/fox@1 is submitted, for demo/reviewer, due 2026-06-02 12:00Z" in capsys.readouterr().out
        assert as_("reviewer", "comment", "demo/fox@1", "why so dark?") == 0
        assert as_("owner", "comment", "demo/fox@1", "as it is", "--reply-to", "1") == 0
        assert as_("auditor", "comments", "demo/fox@1") == 0
        shown = capsys.readouterr().out
        assert "[1] demo/reviewer, 2026-06-01 12:00Z\n    why so dark?\n    [2] demo/owner" in shown
        registry.clock.advance(days=2)
        assert as_("reviewer", "queue", "--mine", "--overdue") == 0
        shown = capsys.readouterr().out
        assert "demo/fox@1" in shown
        assert "OVERDUE 2026-06-02 12:00Z" in shown
        assert as_("second-reviewer", "queue", "--mine") == 0
        assert "none" in capsys.readouterr().out

    def test_assigns_with_what_was_expected(
        self, registry: RegistryUnderTest, as_: As, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Steps(registry).submitted()
        assert as_("reviewer", "assign", "demo/fox@1", "--reviewer", "demo/second-reviewer", "--expect", "0") == 0
        assert as_("reviewer", "assign", "demo/fox@1", "--reviewer", "demo/reviewer", "--expect", "0") == 1
        assert "look again" in capsys.readouterr().err

    def test_says_who_can_when_somebody_cannot(
        self, registry: RegistryUnderTest, as_: As, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Steps(registry).submitted()
        assert as_("reviewer", "assign", "demo/fox@1", "--reviewer", "demo/owner") == 1
        assert "who can: demo/reviewer, demo/second-reviewer" in capsys.readouterr().err

    def test_needs_a_number_and_a_zone(
        self, registry: RegistryUnderTest, as_: As, capsys: pytest.CaptureFixture[str]
    ) -> None:
        accepted(Steps(registry).ask(Steps(registry).drafted()))
        assert as_("owner", "request", "demo/fox") == 1
        assert "by its number" in capsys.readouterr().err
        assert as_("reviewer", "assign", "demo/fox@1", "--due", "2026-06-02T21:00") == 1
        assert "has no zone" in capsys.readouterr().err
