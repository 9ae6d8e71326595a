"""`imprimatur trainer ...`: help, light import, and errors before anything starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sdk.errors import ConfigurationError
from trainer.cli import commands


class TestCommands:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["trainer", "--help"], ("serve", "worker")),
            (["trainer", "serve", "--help"], ("DIR", "HTTP")),
            (["trainer", "worker", "--help"], ("DIR", "one at a time")),
        ],
    )
    def test_explain_themselves(self, arguments: list[str], words: tuple[str, ...]) -> None:
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == 0
        for word in words:
            assert word in result.output

    @pytest.mark.parametrize("command", ["serve", "worker"])
    def test_say_what_a_folder_lacks(self, tmp_path: Path, command: str) -> None:
        result = CliRunner().invoke(commands, ["trainer", command, str(tmp_path)])
        assert isinstance(result.exception, ConfigurationError)
        assert "imprimatur init" in result.exception.message

    def test_cost_nothing_before_they_run(self) -> None:
        heavy = "{'torch', 'fastapi', 'uvicorn', 'procrastinate', 'diffusers'} & set(sys.modules)"
        script = f"import sys, trainer.cli; print(sorted({heavy}))"
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "[]"
