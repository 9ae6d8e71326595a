"""What the guides for operators, legal reviewers and rights holders tell people to type exists, options included."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from sdk.cli import application

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ("docs/operators.md", "docs/legal.md", "docs/accounting.md")
LINES = [
    (guide, line.strip())
    for guide in GUIDES
    for line in re.findall(r"(?:^\$ |`)imprimatur ([^`\n]+)", (ROOT / guide).read_text(), re.MULTILINE)
]


class TestGuides:
    @pytest.mark.parametrize(("guide", "line"), LINES)
    def test_commands_and_options_exist(self, guide: str, line: str) -> None:
        command: Any = typer.main.get_command(application())
        for word in line.split():
            if word not in getattr(command, "commands", {}):
                break
            command = command.commands[word]
        assert not hasattr(command, "commands"), f"{guide}: 'imprimatur {line}' is not a whole command"
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= options, f"{guide}: imprimatur {line}"

    @pytest.mark.parametrize("guide", GUIDES)
    def test_links_and_make_targets_exist(self, guide: str) -> None:
        text = (ROOT / guide).read_text()
        links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
        assert [link for link in links if not (ROOT / guide).parent.joinpath(link).exists()] == []
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
