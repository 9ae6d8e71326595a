"""A bar in the terminal that follows a compose call; it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from sdk.compose.values import ComposeProgress, OnProgress


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[OnProgress]:
    """While open, what a call reports to the value of the `with` is shown as a bar (on standard error by default)."""
    with Progress(console=console or Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("resolve", total=None)

        def show(at: ComposeProgress) -> None:
            if at.preview is None:
                progress.update(bar, description=at.stage.value, total=1.0 if at.steps else None, completed=at.done)

        yield show
