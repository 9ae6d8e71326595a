"""The credentials benchmarks run, and lookups that miss something fail them."""

from __future__ import annotations

import json

import pytest

from benchmarks.credentials.__main__ import main


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

    def test_attention_is_measured(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert measured(capsys, "--only", "attention")["ratio"]
