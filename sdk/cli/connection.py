"""What every command shares: the profile option, the client it opens, and how results and errors are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from sdk.client import Client
from sdk.errors import FormatError, InputError
from sdk.profile import PROFILE_VARIABLE, Profile, load_profile
from sdk.resolve import connect
from sdk.spec.canonical import WireModel, parse_json, validate_wire

ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help=f"Who you are: a profile file. Default: ${PROFILE_VARIABLE}, else ~/.config/imprimatur/profile.toml.",
        show_default=False,
    ),
]

_Wire = TypeVar("_Wire", bound=WireModel)
_Name = TypeVar("_Name")


@dataclass
class CliState:
    """What the options before the command said."""

    debug: bool = False


@contextmanager
def connected(profile: Path | None) -> Iterator[tuple[Profile, Client]]:
    """The profile and a client of its services, closed at the end."""
    chosen = load_profile(profile)
    with connect(chosen) as client:
        yield chosen, client


def console() -> Console:
    """Where results go. Made anew, so that it follows a redirected output."""
    return Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a result as it is."""
    console().print(text, markup=False)


def note(message: str) -> None:
    """Tell people what is worth knowing though it is no fault, beside what the command prints."""
    typer.echo(f"note: {message}", err=True)


def complain(message: str) -> None:
    """Print an error as one line."""
    one_line = " ".join(message.split())
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {one_line}", markup=False, style="red")


def show_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows under column heads; an empty table says so."""
    if not rows:
        say(f"{title}: none")
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")  # an id is never cut short
    for row in rows:
        table.add_row(*row)
    console().print(table)


def read_document(path: Path, cls: type[_Wire], what: str) -> _Wire:
    """Read a JSON file as `cls`. Raises `InputError` naming the file, the member and the fault."""
    try:
        return validate_wire(cls, parse_json(read_file(path, what), what), what)
    except FormatError as exc:
        raise InputError(f"{path}: {exc.message}") from exc


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a file. Raises `InputError`."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InputError(f"no {what} can be read at {path}: {exc.strerror}") from exc


def require_writable(*paths: Path) -> None:
    """Return if these files could be written, before an act that cannot be undone fills them. Raises `InputError`."""
    for path in paths:
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(f"nothing can be written to {path}; name another place: nothing was done yet")


def write_json(document: dict[str, Any], out: Path | None) -> None:
    """Write a document for other programs to a file, or print it."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if out is None:
        say(text)
        return
    out.write_text(text + "\n", encoding="utf-8")
    say(f"written to {out}")


def named(cls: Callable[[str], _Name], text: str) -> _Name:
    """An id or another name as typed. Raises `InputError` with an example of a right one."""
    try:
        return cls(text)
    except FormatError as exc:
        raise InputError(exc.message) from exc


def now() -> datetime:
    """The moment of the command."""
    return datetime.now(UTC)
