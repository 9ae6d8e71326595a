"""`imprimatur audit`: the log, who generated what, verification."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.governed import record_id
from support.workshop import AS_OPTIONS, SCENE, Workshop

from sdk.cli.application import run
from sdk.signing.trust import TrustRole, verify_role
from sdk.spec.envelope import parse_envelope
from sdk.spec.log_entry import AuditEventType
from sdk.spec.statements import (
    AuditPredicate,
    parse_predicate,
    parse_statement,
)


class TestAudit:
    def test_log_lists_entries(self, auditor: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["audit", "log"]) == 0
        assert "approval:signed" in capsys.readouterr().out

    def test_verify_writes_a_signed_report(
        self, auditor: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["audit", "verify", "--out", str(tmp_path / "report.json")]) == 0
        assert "every entry is included" in capsys.readouterr().out
        report = parse_envelope((tmp_path / "report.json").read_bytes())
        assert verify_role(report, auditor.registry.trust, TrustRole.AUDIT) == {"demo/auditor"}
        statement = parse_statement(report.payload, report.payload_type)
        assert parse_predicate(statement, AuditPredicate).tree_size == len(auditor.registry.log.contents)

    def test_verify_notices_rewritten_history(self, auditor: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["audit", "verify"]) == 0
        log = auditor.registry.log
        log.contents[1], log.contents[2] = log.contents[2], log.contents[1]
        log.append(AuditEventType.CONCEPT_CREATED, "demo/owl")
        assert run(["audit", "verify"]) == 1
        assert "rewritten" in capsys.readouterr().err

    def test_verify_fails_on_a_finding(self, auditor: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        auditor.registry.log.append(AuditEventType.GENERATION_PERMITTED, record_id("gen", "b"))
        assert run(["audit", "verify"]) == 1
        shown = capsys.readouterr()
        assert "does not list it" in shown.out
        assert "findings" in shown.err

    def test_generations_say_who_and_under_which_approval(
        self, app: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--out", str(tmp_path / "o")]) == 0
        assert run(["audit", "generations", "--concept", "demo/fox"]) == 0
        out = capsys.readouterr().out
        for expected in (
            "demo/app",
            record_id("gen"),
            "demo/fox@1",
            "demo/reviewer (entry 2, demo/fox@1)",
            "advertising, JP, web",
        ):
            assert expected in out
