"""The command line of people of a workshop, and of one whose services accept everything."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from support.accepting_services import Studio
from support.governed import NOW
from support.tiny_backbone import make_backbone_dir
from support.workshop import Workshop, make_workshop


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone_dir(tmp_path_factory.mktemp("base") / "sd", "sd")


@pytest.fixture(autouse=True)
def our_commands_in_a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.delenv("IMPRIMATUR_PROFILE", raising=False)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())  # services have tests of their own


def make(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Workshop:
    workshop = make_workshop(tmp_path, name=name, base=base)
    monkeypatch.setattr("sdk.cli.connection.connect", lambda profile: workshop.registry.client())
    for module in (
        "sdk.cli.connection.now",
        "sdk.cli.review.now",
        "sdk.cli.audit.now",
        "sdk.cli.export.now",
        "sdk.cli.identify.now",
        "sdk.cli.compose.now",
        "sdk.cli.variants.now",
    ):
        monkeypatch.setattr(module, lambda: NOW)
    monkeypatch.setenv("IMPRIMATUR_PROFILE", str(workshop.profile.path))
    return workshop


@pytest.fixture
def reviewer(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return make(tmp_path, base, monkeypatch, "reviewer")


@pytest.fixture
def auditor(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return make(tmp_path, base, monkeypatch, "auditor")


@pytest.fixture
def app(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return make(tmp_path, base, monkeypatch, "app")


@pytest.fixture
def studio(app: Workshop, monkeypatch: pytest.MonkeyPatch) -> Studio:
    made = Studio()
    monkeypatch.setattr("sdk.cli.connection.connect", lambda profile: made.client())
    return made
