"""`imprimatur alias` and `show --as-of` against the real registry in process."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from support.registry import RegistryUnderTest
from support.versions import Steps, accepted

from sdk.cli.application import run
from sdk.client import Client


@pytest.fixture
def owner(registry: RegistryUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegistryUnderTest:
    """The registry, and a command line that speaks to it as its owner."""
    profile = tmp_path / "owner.toml"
    members = {"registry": "http://registry.test", "principal": "demo/owner", "trust_root": "trust-root.json"}
    text = "".join(f'{name} = "{value}"\n' for name, value in members.items())
    profile.write_text(text + f'credential = "{registry.credentials["owner"]}"\n')
    profile.chmod(0o600)
    monkeypatch.setenv("IMPRIMATUR_PROFILE", str(profile))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    monkeypatch.setattr(
        "sdk.cli.connection.connect",
        lambda chosen: Client(chosen.registry, chosen.credential, transport=registry.transport),
    )
    return registry


class TestAlias:
    def test_is_set_listed_moved_and_remembered(
        self, owner: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        steps = Steps(owner)
        first = steps.approved(embedding=b"1")
        assert run(["alias", "set", "demo/fox@stable", "1", "demo/fox@web", "1"]) == 0
        assert "demo/fox@web names version 1, log entry" in capsys.readouterr().out
        moment = owner.clock.now.isoformat()
        owner.clock.advance(hours=1)
        steps.approved(embedding=b"2")
        assert run(["alias", "set", "demo/fox@stable", "2", "--expect", "1"]) == 0
        assert run(["alias", "list", "--concept", "demo/fox"]) == 0
        assert run(["alias", "history", "demo/fox@stable"]) == 0
        assert capsys.readouterr().out.count("demo/owner") == 4
        assert run(["show", "demo/fox@stable", "--as-of", moment]) == 0
        shown = capsys.readouterr().out
        assert f"demo/fox@1 was approved at {moment}" in shown
        assert str(first.manifest.digest) in shown
        assert run(["alias", "remove", "demo/fox@stable"]) == 0
        assert "names no version" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["alias", "set", "demo/fox@stable"], "pairs"),
            (["alias", "set", "demo/fox@stable", "two"], "version number such as 2"),
            (["alias", "set", "demo/fox@1", "2"], "an alias such as demo/fox@stable"),
            (["alias", "set", "demo/fox@a", "1", "demo/fox@b", "1", "--expect", "0"], "one pair only"),
            (["alias", "set", "demo/fox@stable", "1", "--expect", "1"], "names no version, not 1 as expected"),
            (["show", "demo/fox", "--as-of", "2026-03-03T14:00"], "has no zone"),
            (["show", "demo/fox", "--as-of", "yesterday"], "expected a moment"),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self, owner: RegistryUnderTest, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
    ) -> None:
        accepted(Steps(owner).review(Steps(owner).submitted()))
        assert run(arguments) == 1
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
