"""`imprimatur policy show`: the bundle in force, now or at a moment, and its files written out, over the real registry."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.registry import BASE_URL, START, RegistryUnderTest

from sdk.cli.application import run
from sdk.client import Client
from sdk.policy.bundle import load_bundle


class TestShow:
    @pytest.fixture(autouse=True)
    def as_an_auditor(self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sdk.cli.connection.load_profile", lambda profile: None)
        monkeypatch.setattr(
            "sdk.cli.connection.connect",
            lambda profile: Client(BASE_URL, registry.credentials["auditor"], transport=registry.transport),
        )

    def test_tells_digest_and_files(self, registry: RegistryUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["policy", "show"]) == 0
        out = capsys.readouterr().out
        assert f"policies {registry.runtime.policy_bundle.digest}" in out
        assert "approval/risk_classes.yaml" in out

    def test_writes_what_was_in_force_at_a_moment(
        self, registry: RegistryUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        registry.clock.advance(hours=1)
        folder = tmp_path / "then"
        assert run(["policy", "show", "--as-of", START.isoformat(), "--out", str(folder)]) == 0
        assert "in force since 2026-06-01 12:00:00Z, log entry 0" in capsys.readouterr().out
        assert load_bundle(folder) == registry.runtime.policy_bundle

    def test_says_when_none_is_recorded_or_the_moment_has_not_come(
        self, registry: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for moment, says in (
            (START - timedelta(days=1), "no policies are recorded"),
            (START + timedelta(days=1), "not come"),
        ):
            assert run(["policy", "show", "--as-of", moment.isoformat()]) == 1
            assert says in capsys.readouterr().err
