"""Tests of `imprimatur consent` and `imprimatur subject` against the real registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import CommandLine
from support.governed import EVIDENCE
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps

from sdk.consent_receipt import verify_consent_receipt
from sdk.errors import DigestMismatch, ProofInvalid
from sdk.spec.canonical import parse_wire
from sdk.spec.consent_events import ConsentEvent, ConsentReceipt

HARU = "subject-haru"


@pytest.fixture
def imprimatur(
    registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> CommandLine:
    return CommandLine(registry, monkeypatch, capsys, tmp_path)


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


class TestReconfirmation:
    def test_goes_from_a_life_event_to_reinstated_versions(
        self, registry: RegistryUnderTest, imprimatur: CommandLine, tmp_path: Path
    ) -> None:
        steps = Steps(registry)
        consent = steps.consent(FOX, subject=HARU)["id"]
        version = steps.approved(FOX, consents=(consent,))
        imprimatur("owner", "subject", "bind", HARU, "demo/subject", "--as", "self")
        (tmp_path / "letter.json").write_text(EVIDENCE.model_dump_json())
        letter = ("--evidence", str(tmp_path / "letter.json"))
        told = imprimatur("owner", "subject", "event", HARU, "agent-changed", "--on", "2026-05-30", *letter)
        assert (consent in told, version.name in told) == (True, True)
        assert consent in imprimatur("owner", "consent", "list", "--status", "reconfirmation-due")
        assert "confirmed anew" in imprimatur(
            "subject", "consent", "confirm", consent, "--by", HARU, "--as", "self", "--on", "2026-06-01"
        )
        assert steps.get("owner", version.path)["status"] == "suspended"
        assert "demo/fox@1 is approved again" in imprimatur("reviewer", "consent", "reinstate", consent)
        assert "no suspended version" in imprimatur.refused("reviewer", "consent", "reinstate", consent)

    def test_refusing_is_final(self, registry: RegistryUnderTest, imprimatur: CommandLine, tmp_path: Path) -> None:
        consent = Steps(registry).consent(FOX, subject=HARU)["id"]
        (tmp_path / "letter.json").write_text(EVIDENCE.model_dump_json())
        letter = ("--evidence", str(tmp_path / "letter.json"))
        imprimatur("owner", "subject", "event", HARU, "agent-changed", "--on", "2026-05-30", *letter)
        answer = (consent, "--by", HARU, "--as", "self", "--on", "2026-06-01", "--through", "message", *letter)
        assert "is refused" in imprimatur("owner", "consent", "refuse", *answer)
        assert "possible is: nothing more" in imprimatur.refused("owner", "consent", "confirm", *answer)


class TestReceipt:
    def test_is_verified_read_and_kept(
        self, registry: RegistryUnderTest, imprimatur: CommandLine, tmp_path: Path
    ) -> None:
        consent = Steps(registry).consent(FOX, subject=HARU)["id"]
        imprimatur("owner", "subject", "bind", HARU, "demo/subject", "--as", "self")
        text = imprimatur("subject", "consent", "receipt", consent, "--out", str(tmp_path / "receipt.json"))
        for said in ("This consent is now: given.", HARU, "advertising", "consent was given, recorded by demo/owner"):
            assert said in text
        kept = parse_wire(ConsentReceipt, (tmp_path / "receipt.json").read_bytes(), "receipt")
        assert verify_consent_receipt(kept, registry.runtime.trust_root) == kept
        changed = kept.model_copy(update={"record": kept.record.model_copy(update={"controller": "Somebody Else"})})
        with pytest.raises(DigestMismatch):
            verify_consent_receipt(changed, registry.runtime.trust_root)
        moved = kept.events[0].model_copy(update={"event": ConsentEvent.RECONFIRM})
        with pytest.raises(ProofInvalid):
            verify_consent_receipt(kept.model_copy(update={"events": (moved,)}), registry.runtime.trust_root)
        unproved = kept.events[0].model_copy(update={"receipt": None})
        with pytest.raises(ProofInvalid, match="without a proof"):
            verify_consent_receipt(kept.model_copy(update={"events": (unproved,)}), registry.runtime.trust_root)
        unstated = kept.events[0].model_copy(update={"statement": None})
        with pytest.raises(ProofInvalid, match="it is not shown"):
            verify_consent_receipt(kept.model_copy(update={"events": (unstated,)}), registry.runtime.trust_root)

    def test_of_somebody_else_is_not_found(self, registry: RegistryUnderTest, imprimatur: CommandLine) -> None:
        consent = Steps(registry).consent(FOX, subject=HARU)["id"]
        assert "no consent" in imprimatur.refused("subject", "consent", "receipt", consent)


class TestExport:
    def test_writes_dpv_and_odrl(self, registry: RegistryUnderTest, imprimatur: CommandLine, tmp_path: Path) -> None:
        steps = Steps(registry)
        consent, licence = steps.consent(FOX, subject=HARU)["id"], steps.licence(FOX)["id"]
        out = ("--out", str(tmp_path / "consent.jsonld"))
        assert "written to" in imprimatur("auditor", "consent", "export", consent, *out)
        written = json.loads((tmp_path / "consent.jsonld").read_text())
        assert written["dct:hasPart"]["dct:identifier"] == consent
        printed = json.loads(imprimatur("auditor", "licence", "export", licence))
        assert printed["uid"] == f"urn:imprimatur:licence:{licence}"
        assert printed["assignee"] == "urn:imprimatur:tenant:demo"
