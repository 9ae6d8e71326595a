"""The credentials benchmarks run, and lookups that miss something fail them."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import ANY

import pytest

from benchmarks.credentials import surviving
from benchmarks.credentials.__main__ import main
from benchmarks.credentials.pictures import examples


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    main(["--repeat", "1", *arguments])
    return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))


class TestCredentials:
    def test_marking_is_measured_part_by_part(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = measured(capsys, "--only", "marking")
        assert set(found["cpu_ms"]) >= {"watermark", "fingerprints", "credentials"}  # type: ignore[call-overload]

    def test_lookups_find_what_is_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = measured(capsys, "--only", "looking_up", "--fingerprints", "2000")
        assert found["fingerprints"] == 2000

    def test_copies_that_survive_are_counted_and_the_guide_has_a_row_for_each(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(surviving, "examples", lambda: examples()[:2])
        monkeypatch.setattr(surviving, "photographs", list)
        copies = measured(capsys, "--only", "surviving", "--sides", "128")["copies"]
        assert isinstance(copies, dict)
        assert copies["JPEG 75"] == {"watermark": {"128": 2}, "fingerprint": 2, "furthest": ANY, "either": 2}
        guide = (Path(__file__).resolve().parents[2] / "docs/credentials.md").read_text()
        assert [name for name in copies if f"\n| {name} |" not in guide] == []

    def test_attention_is_measured(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert measured(capsys, "--only", "attention")["ratio"]
