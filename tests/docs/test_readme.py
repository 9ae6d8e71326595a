"""The README's four journeys are followed as they stand there; only the networks are tiny, and all runs in process."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from support.database import DatabaseServer
from support.prompt_trainer import QUICK, prompt_trainer
from support.studio import StudioInProcess, make_studio

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROFILE = re.compile(r"export IMPRIMATUR_PROFILE=studio/profiles/([a-z-]+)\.toml")
SET_UP = ("make setup", "imprimatur init", "imprimatur up")  # tried with real processes elsewhere


@pytest.fixture
def studio(
    postgres_server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StudioInProcess]:
    """A studio with a trainer; the working directory holds the examples, with settings for tiny networks."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    plan = tmp_path / "examples" / "concepts.yaml"
    plan.write_text(yaml.safe_dump(yaml.safe_load(plan.read_text()) | {"settings": QUICK}))
    with postgres_server.fresh_database() as url, make_studio(url, tmp_path) as made:
        with prompt_trainer(made, url) as with_trainer:
            monkeypatch.setattr(importlib.import_module("sdk.compose.call"), "shared_connection", with_trainer._connect)
            yield with_trainer


class Newcomer:
    """Somebody who types what the README shows, in its order."""

    def __init__(self, studio: StudioInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        self.studio, self.monkeypatch = studio, monkeypatch
        self.ids: dict[str, str] = {}

    def console(self, block: str) -> None:
        for line in block.splitlines():
            words = line.removeprefix("$ ")
            if chosen := PROFILE.fullmatch(words):
                self.monkeypatch.setenv("IMPRIMATUR_PROFILE", str(self.studio.profile(chosen[1]).path))
            elif not words.startswith(SET_UP):
                self.type(shlex.split(words, comments=True))

    def type(self, words: list[str]) -> None:
        program, *arguments = (self.ids.get(word, word) for word in words)
        assert program == "imprimatur"
        done = self.studio.command(*arguments)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        self.ids |= {f"{found[:4]}...": found for found in re.findall(r"\b(?:con|lic)_[a-z0-9]+", done.stdout)}

    def python(self, block: str) -> None:
        exec(compile(block, "README.md", "exec"), {})


def test_the_four_journeys(studio: StudioInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    journeys = text[text.index("## The four journeys") : text.index("## File map")]
    newcomer = Newcomer(studio, monkeypatch)
    done = []
    for language, block in BLOCK.findall(journeys):
        getattr(newcomer, language)(block)
        done.append(language)
    assert done == ["console", "console", "console", "console", "console", "python", "console"]
    assert Path("fox.png").exists()
