"""What people type: every command explains itself, and wrong arguments are named before anything happens."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from registry.cli import commands
from registry.cli.workspace import Address
from registry.telemetry.logs import JsonLines
from sdk.errors import ConfigurationError, FormatError, ImprimaturError

RUNNER = CliRunner()


def run(*arguments: str) -> ImprimaturError | None:
    result = RUNNER.invoke(commands, list(arguments))
    assert result.exception is None or isinstance(result.exception, ImprimaturError)
    return result.exception


class TestHelp:
    @pytest.mark.parametrize(
        "words",
        [
            ["--help"],
            ["init", "--help"],
            ["up", "--help"],
            ["down", "--help"],
            ["registry", "serve", "--help"],
            ["registry", "seal", "--help"],
            ["log", "fsck", "--help"],
            ["trust", "show", "--help"],
            ["trust", "renew", "--help"],
            ["trust", "revoke-key", "--help"],
            ["trust", "make-key", "--help"],
            ["trust", "add-key", "--help"],
            ["trust", "rotate-root", "--help"],
            ["trust", "publish", "--help"],
        ],
    )
    def test_is_there_for_every_command(self, words: list[str]) -> None:
        result = RUNNER.invoke(commands, words)
        assert result.exit_code == 0
        assert "Usage:" in result.output


class TestInit:
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (["--tenant", "Not A Name"], FormatError, "expected a tenant name"),
            (["--host", "localhost"], ConfigurationError, "--host should be an IPv4 address"),
            (["--port", "9000", "--trainer-port", "9000"], ConfigurationError, "cannot both listen on port 9000"),
            (["--base-model", "/nowhere"], ConfigurationError, "/nowhere is no folder"),
            (["--database-url", "postgresql://127.0.0.1:1/x"], ConfigurationError, "the database cannot be reached"),
        ],
    )
    def test_names_what_is_wrong(
        self, tmp_path: Path, arguments: list[str], error: type[ImprimaturError], message: str
    ) -> None:
        found = run("init", str(tmp_path / "ws"), *arguments)
        assert isinstance(found, error)
        assert message in found.message
        assert not (tmp_path / "ws").exists()


class TestMakeKey:
    def test_names_the_place_where_none_can_be(self, tmp_path: Path) -> None:
        found = run("trust", "make-key", str(tmp_path / "none" / "root.pem"))
        assert isinstance(found, ConfigurationError)
        assert "no key can be written to" in found.message


class TestAddress:
    def test_of_a_service_that_listens_everywhere_is_one_that_can_be_called(self) -> None:
        assert str(Address(host="0.0.0.0", port=8700)) == "http://127.0.0.1:8700"
        assert str(Address(host="10.0.0.1", port=8700)) == "http://10.0.0.1:8700"


class TestNoWorkspace:
    @pytest.mark.parametrize(
        "words", [["up"], ["up", "--detach"], ["down"], ["registry", "serve"], ["registry", "seal"], ["trust", "renew"]]
    )
    def test_is_said_with_the_mend(self, tmp_path: Path, words: list[str]) -> None:
        found = run(*words[:2], str(tmp_path), *words[2:])
        assert isinstance(found, ConfigurationError)
        assert "imprimatur init" in found.message


class TestServerExtra:
    def test_that_is_missing_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.startswith("registry.cli.") and name[13:] != "commands"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "uvicorn", None)
        found = run("registry", "serve", str(tmp_path))
        assert isinstance(found, ConfigurationError)
        assert "uvicorn is not installed; pip install 'imprimatur[server]'" in found.message


class TestLogging:
    def test_is_one_json_object_a_line_whatever_is_said(self) -> None:
        try:
            raise ValueError("two\nlines")
        except ValueError:
            record = logging.LogRecord("a.b", logging.ERROR, "f", 1, "say %s", ("two\nlines",), sys.exc_info())
        line = JsonLines().format(record)
        assert "\n" not in line
        parsed = json.loads(line)
        assert (parsed["level"], parsed["logger"], parsed["message"]) == ("error", "a.b", "say two\nlines")
        assert "ValueError" in parsed["exception"]
