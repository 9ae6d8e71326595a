"""The command as a whole: helps, one-line errors, exit statuses, what services add."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from support.workshop import Workshop

from sdk.cli import application
from sdk.cli import application as make_application
from sdk.cli.application import run
from sdk.client import Client
from sdk.errors import ConfigurationError


def commands(group: click.Command | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group there is, as typed."""
    group = group or typer.main.get_command(make_application())
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


with pytest.MonkeyPatch.context() as _patch:
    _patch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    PATHS = list(commands())


class TestHelp:
    @pytest.mark.parametrize("path", PATHS, ids=" ".join)
    def test_every_command_says_what_it_does_and_what_it_takes(
        self, path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run([*path, "--help"]) == 0
        assert "Usage: imprimatur" in capsys.readouterr().out
        command: Any = typer.main.get_command(make_application())
        for name in path:
            command = command.commands[name]
        assert (command.help or "").strip().endswith((".", "not.", "ever."))
        assert [p.name for p in command.params if not getattr(p, "help", None)] == []
        told = [command.help, *(p.help for p in command.params)]
        assert [
            text for text in told if re.search(r"(?<!\\)\[[a-z]", text)
        ] == []  # Rich takes it for a style and drops it

    def test_our_commands(self) -> None:
        ours = {" ".join(path) for path in PATHS}
        assert ours >= {
            *("whoami", "concept create", "concept list", "consent give", "consent withdraw", "licence grant"),
            *("train", "show", "approve", "reject", "revoke", "compose"),
            *("audit log", "audit verify", "audit generations"),
            *("policy why", "policy test", "policy diff", "policy replay"),
            *("alias set", "alias list", "alias history", "alias remove"),
        }

    @pytest.mark.parametrize("path", [("whoami",), ("approve",), ("audit", "verify"), ("compose",), ("train",)])
    def test_every_command_takes_a_profile(self, path: tuple[str, ...]) -> None:
        command: Any = typer.main.get_command(make_application())
        for name in path:
            command = command.commands[name]
        assert "profile" in {parameter.name for parameter in command.params}


class TestErrors:
    def test_an_error_is_one_line_that_says_what_to_do(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["whoami", "--profile", str(tmp_path / "none.toml")]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("error: no profile can be read")
        assert shown.err.count("\n") == 1
        assert "imprimatur init" in shown.err

    def test_debug_shows_where_it_came_from(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError):
            run(["--debug", "whoami", "--profile", str(tmp_path / "none.toml")])

    @pytest.mark.parametrize(
        ("words", "says", "see"),
        [
            (["no-such-command"], "No such command 'no-such-command'", "imprimatur --help"),
            (["approve"], "Missing argument 'TENANT/NAME@N'", "imprimatur approve --help"),
            (["concept", "create", "demo/fox"], "Missing option '--kind'", "imprimatur concept create --help"),
            (
                ["audit", "log", "--event", "x"],
                "Invalid value for '--event': 'x' is not",
                "imprimatur audit log --help",
            ),
            (["compose", "--counts", "1"], "No such option: --counts", "imprimatur compose --help"),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    def test_wrong_calls_are_one_line_and_status_2(
        self, words: list[str], says: str, see: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(words) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"error: {says}")
        assert shown.err.endswith(f"see '{see}'\n")
        assert shown.err.count("\n") == 1

    def test_a_group_alone_shows_its_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["audit"]) == 2
        shown = capsys.readouterr()
        assert "Usage: imprimatur audit" in shown.out + shown.err
        assert "error:" not in shown.err

    def test_says_its_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["--version"]) == 0
        assert capsys.readouterr().out == f"imprimatur {importlib.metadata.version('imprimatur')}\n"

    def test_the_unexpected_is_one_line_too(
        self, app: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(_profile: object) -> Client:
            raise ZeroDivisionError("oh\nno")

        monkeypatch.setattr("sdk.cli.connection.connect", broken)
        assert run(["whoami"]) == 1
        err = capsys.readouterr().err
        assert "unexpected ZeroDivisionError: oh no; run again with --debug" in err
        assert err.count("\n") == 1

    def test_interruption(self, monkeypatch: pytest.MonkeyPatch, app: Workshop) -> None:
        def interrupted(_profile: object) -> Client:
            raise KeyboardInterrupt

        monkeypatch.setattr("sdk.cli.connection.connect", interrupted)
        assert run(["whoami"]) == 130


class FakePoint:
    """An entry point of a service."""

    def __init__(self, name: str, loads: object) -> None:
        self.name, self._loads = name, loads

    def load(self) -> object:
        if isinstance(self._loads, Exception):
            raise self._loads
        return self._loads


class TestContributedCommands:
    def use(self, monkeypatch: pytest.MonkeyPatch, *points: FakePoint) -> None:
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: points)

    def test_appear_at_the_top(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        added, group = typer.Typer(), typer.Typer()
        added.command("init")(lambda: print("made"))
        group.command("serve")(lambda: print("served"))
        added.add_typer(group, name="registry")
        self.use(monkeypatch, FakePoint("registry", added))
        assert run(["init"]) == 0
        assert run(["registry", "serve"]) == 0
        assert capsys.readouterr().out.split() == ["made", "served"]

    def test_a_service_that_is_not_installed_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.use(monkeypatch, FakePoint("registry", ModuleNotFoundError("no", name="sqlalchemy.orm")))
        assert run(["--help"]) == 0

    def test_a_service_that_is_broken_is_not_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.use(monkeypatch, FakePoint("registry", ModuleNotFoundError("no", name="registry.gone")))
        assert run(["whoami"]) == 1


class TestAccount:
    def test_whoami(self, app: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["whoami"]) == 0
        assert capsys.readouterr().out == "demo/app at http://registry.test: app\n"


def test_the_application_is_public() -> None:
    assert isinstance(application(), typer.Typer)
