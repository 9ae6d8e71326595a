"""What the README tells people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from sdk.cli import application

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def commands_in_readme() -> list[str]:
    return sorted(set(re.findall(r"^\$ imprimatur ([a-z -]+?)(?= [^a-z-]|\s*$| [a-z]+/| -)", README, re.MULTILINE)))


class TestReadme:
    def test_mentions_all_four_journeys(self) -> None:
        words = {command.split()[0] for command in commands_in_readme()}
        assert words >= {"init", "up", "train", "approve", "audit"}

    @pytest.mark.parametrize("line", commands_in_readme())
    def test_commands_exist(self, line: str) -> None:
        command = typer.main.get_command(application())
        for word in line.split():
            inner = getattr(command, "commands", {})
            if word not in inner:
                break
            command = inner[word]
        assert not hasattr(command, "commands"), f"'imprimatur {line}' is not a whole command"

    def test_make_targets_exist(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        named = set(re.findall(r"`?\$?\s*make ([a-z-]+)", README))
        assert named <= targets

    def test_pictures_and_links_to_files_exist(self) -> None:
        paths = re.findall(r"\]\((?!https?:)([^)#]+)", README)
        assert paths
        assert [path for path in paths if not (ROOT / path).exists()] == []

    def test_example_files_that_commands_take_exist(self) -> None:
        named = set(re.findall(r"^\$ imprimatur .*?(examples/\S+)", README, re.MULTILINE))
        assert len(named) >= 3
        assert [path for path in named if not (ROOT / path).exists()] == []
