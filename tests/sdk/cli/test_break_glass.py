"""`imprimatur break-glass`: two people, each with their own key, against the real registry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.break_glass import make_open_registry
from support.command_line import CommandLine
from support.database import DatabaseServer
from support.registry import SettableClock
from support.versions import Steps, accepted

from sdk.spec.manifest import ConceptKind


def test_two_people_open_a_version(
    postgres_server: DatabaseServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    clock, file = SettableClock(datetime.now(UTC)), str(tmp_path / "fox.json")
    with postgres_server.fresh_database() as url, make_open_registry(url, clock=clock) as registry:
        imprimatur = CommandLine(registry, monkeypatch, capsys, tmp_path)
        steps = Steps(registry)
        version = steps.submitted(kind=ConceptKind.PERSON)
        asked = (
            "break-glass",
            "sign",
            version.name,
            "--reason",
            "the broadcast is tonight",
            "--hours",
            "2",
            "--out",
            file,
        )
        assert "named twice" in imprimatur.refused("reviewer", *asked, "--with", "demo/reviewer")
        unknown = imprimatur.refused("reviewer", *asked, "--with", "demo/nobody")
        assert "demo/nobody has no key that is trusted for approval" in unknown
        assert "demo/fox@1 is not open yet: demo/owner signs" in imprimatur("reviewer", *asked, "--with", "demo/owner")
        assert steps.get("app", version.path)["status"] == "submitted"
        wrong = imprimatur.refused("second-reviewer", "break-glass", "open", file)
        assert "demo/owner and demo/reviewer open demo/fox@1, not demo/second-reviewer" in wrong
        assert "approval.role" in imprimatur.refused("owner", "break-glass", "open", file)
        imprimatur("owner", *asked[:-1], str(tmp_path / "again.json"), "--with", "demo/reviewer")
        opened = imprimatur("reviewer", "break-glass", "open", str(tmp_path / "again.json"))
        assert "because: the broadcast is tonight" in opened
        assert "demo/fox@1 is open, not approved" in opened
        clock.now = datetime.now(UTC)
        shown = imprimatur("auditor", "show", version.name)
        assert "demo/fox@1 (person) is break-glass" in shown
        assert "NOT APPROVED, and in use by BREAK-GLASS" in shown
        assert "demo/owner demo/reviewer" in imprimatur("second-reviewer", "break-glass", "list")
        assert "the broadcast is tonight" in imprimatur("auditor", "notices")
        grant = accepted(steps.compose(version))["id"]
        told = imprimatur("auditor", "audit", "generations")
        assert f"{grant} permitted" in told
        assert "BREAK-GLASS  demo/fox@1 was not approved; opened by demo/owner and demo/reviewer" in told
        assert "nothing seen before was rewritten" in imprimatur("auditor", "audit", "verify")
        clock.advance(hours=3)
        assert imprimatur("auditor", "break-glass", "list") == "Break-glass: none\n"
        assert ", over" in imprimatur("auditor", "break-glass", "list", "--all")
