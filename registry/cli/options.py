"""What the registry's commands share: the workspace argument, how results are shown, and the extra that is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from sdk.errors import ConfigurationError

OURS: Final = frozenset({"sdk", "registry", "trainer", "migrations"})

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="The workspace made by 'imprimatur init'.", show_default=False)
]


def say(text: str) -> None:
    """Print a result, at once."""
    typer.echo(text)
    sys.stdout.flush()


@contextmanager
def server_extra() -> Iterator[None]:
    """Names the extra when an import of the block fails for want of it."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] in OURS:
            raise
        raise ConfigurationError(f"{exc.name} is not installed; pip install 'imprimatur[server]'") from exc
