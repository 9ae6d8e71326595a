"""Numbering, timing and printing of the demo's steps. A step that does not do what it should ends the demo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


class DemoFailed(Exception):
    """Something that must happen did not, or something that must not happen did."""


@dataclass(frozen=True, kw_only=True)
class FinishedStep:
    """One line of the closing summary."""

    number: int
    title: str
    seconds: float


@dataclass
class Stage:
    """Where steps are performed; remembers how long each took."""

    console: Console
    finished: list[FinishedStep] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, time it, and say when it is done."""
        number = len(self.finished) + 1
        self.console.rule(f"[bold]{number}. {title}", align="left")
        started = time.monotonic()
        try:
            yield
        except BaseException:
            self.console.print(f"[red]not done[/red]: step {number} ended after {time.monotonic() - started:.1f} s\n")
            raise
        seconds = time.monotonic() - started
        self.finished.append(FinishedStep(number=number, title=title, seconds=seconds))
        self.console.print(f"[green]done[/green] in {seconds:.1f} s\n")

    def say(self, text: str, *, style: str | None = None) -> None:
        """Print a line of a step as it is."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True, style=style)

    @property
    def seconds(self) -> float:
        """How long the finished steps took together."""
        return sum(step.seconds for step in self.finished)


def require(condition: bool, what: str) -> None:
    """Raise `DemoFailed` naming `what` unless `condition` holds."""
    if not condition:
        raise DemoFailed(what)
