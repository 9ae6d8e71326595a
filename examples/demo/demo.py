"""What the demo's steps share: the place, the story, and what has come of it so far."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from examples.demo.stage import Stage, require
from examples.demo.story import LearnedConcept, Story
from examples.demo.studio import Studio
from sdk.audit import GenerationAccount
from sdk.compose import Composition
from sdk.credentials.read import ContentCredentials
from sdk.spec.ids import RecordId
from sdk.spec.training import JobView


@dataclass(frozen=True, kw_only=True)
class ComposedScene:
    """What a compose call handed out, and what each of its files says about itself."""

    scene: str
    composition: Composition
    credentials: tuple[ContentCredentials, ...]  # one an image, as a C2PA reader gives them


@dataclass
class Demo:
    """Where the demo happens and what has come of it so far."""

    studio: Studio
    story: Story
    stage: Stage
    training_files: Path  # where what the trainer wrote is put
    sampling_steps: int = 30
    consents: list[RecordId] = field(default_factory=list)
    licences: list[RecordId] = field(default_factory=list)
    job: JobView | None = None
    refusals: dict[str, str] = field(default_factory=dict)  # what was tried, and the answer
    composed: list[ComposedScene] = field(default_factory=list)
    accounts: tuple[GenerationAccount, ...] = ()
    log_size: int = 0  # entries of the log when it was verified

    def run(self, *words: str, role: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run an `imprimatur` command as `role`, showing it first."""
        self.stage.say(f"$ imprimatur {' '.join(words)}", style="dim")
        return self.studio.command(*words, role=role)

    def must(self, *words: str, role: str | None = None) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run(*words, role=role)
        require(done.returncode == 0, f"'imprimatur {' '.join(words)}' failed: {done.stderr.strip()}")
        self.stage.say(done.stdout.rstrip())
        return done.stdout

    def refused(self, tried: str, said: str) -> None:
        """Remember and show a refusal that was expected."""
        self.refusals[tried] = said.strip().removeprefix("error: ")
        self.stage.say(f"refused: {self.refusals[tried]}", style="red")

    def version(self, concept: LearnedConcept) -> str:
        return f"{concept.id}@1"
