"""Tests of `imprimatur consent` and `imprimatur subject` against the real registry."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import CommandLine
from support.governed import EVIDENCE
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps

HARU = "subject-haru"


@pytest.fixture
def imprimatur(
    registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    return CommandLine(registry, monkeypatch, capsys)


class TestSubject:
    def test_is_bound_reads_withdraws_and_is_released(
        self, registry: RegistryUnderTest, imprimatur: CommandLine
    ) -> None:
        steps = Steps(registry)
        mine, other = steps.consent(FOX, subject=HARU)["id"], steps.consent(FOX)["id"]
        assert "is bound to subject-haru as self" in imprimatur(
            "owner", "subject", "bind", HARU, "demo/subject", "--as", "self"
        )
        assert "demo/subject" in imprimatur("subject", "subject", "list")
        listed = imprimatur("subject", "consent", "list")
        assert (mine in listed, other in listed) == (True, False)
        assert "is withdrawn" in imprimatur("subject", "consent", "withdraw", mine, "--reason", "no more")
        assert "withdrawn" in imprimatur("subject", "consent", "list")
        assert "no consent" in imprimatur.refused("subject", "consent", "withdraw", other, "--reason", "no more")
        released = imprimatur("owner", "subject", "release", HARU, "demo/subject", "--reason", "gone")
        assert "no longer bound" in released
        assert imprimatur("subject", "consent", "list") == "Consents: none\n"

    def test_a_guardian_is_bound_with_a_document(self, imprimatur: CommandLine, tmp_path: Path) -> None:
        arguments = ("subject", "bind", HARU, "demo/subject", "--as", "guardian")
        assert "name the document" in imprimatur.refused("owner", *arguments)
        (tmp_path / "court.json").write_text(EVIDENCE.model_dump_json())
        assert "as guardian" in imprimatur("owner", *arguments, "--evidence", str(tmp_path / "court.json"))


class TestConsentList:
    def test_shows_every_page_and_one_persons_alone(self, registry: RegistryUnderTest, imprimatur: CommandLine) -> None:
        steps = Steps(registry)
        ids = [steps.consent(FOX, subject=f"subject-{n % 2}", expressed_by=f"hand-{n}")["id"] for n in range(103)]
        listed = imprimatur("auditor", "consent", "list")
        assert [identity for identity in ids if identity not in listed] == []
        alone = imprimatur("auditor", "consent", "list", "--subject", "subject-1")
        assert (ids[1] in alone, ids[0] in alone) == (True, False)
