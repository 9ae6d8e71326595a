"""Putting the command together, and turning errors into one line.

`registry` and `trainer` contribute a Typer app named by an entry point of the group `imprimatur.commands`; its
commands appear beside ours. A service whose extra is not installed is left out.
"""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from typer.exceptions import Abort, TyperException

from sdk.cli import (
    account,
    alias,
    audit,
    break_glass,
    compose,
    consent,
    credential,
    erase,
    explain,
    export,
    identify,
    ledger,
    policy,
    recall,
    receipt,
    records,
    reminders,
    renewal,
    review,
    reviews,
    royalties,
    subject,
    train,
    usage,
    variants,
    webhook,
    witness,
)
from sdk.cli.connection import CliState, complain, say
from sdk.errors import ImprimaturError
from sdk.software import software_version
from sdk.spec.canonical import first_fault

ENTRY_POINT_GROUP: Final = "imprimatur.commands"
_INTERRUPTED: Final = 130  # the shell's exit status after Ctrl-C
_OURS: Final = frozenset({"sdk", "registry", "trainer", "migrations"})

_logger = logging.getLogger(__name__)


def application() -> typer.Typer:
    """The whole command, services included."""
    app = typer.Typer(
        name="imprimatur",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        callback=_options,
    )
    for part in (
        account,
        credential,
        webhook,
        records,
        consent,
        subject,
        erase,
        train,
        review,
        reviews,
        renewal,
        break_glass,
        alias,
        compose,
        variants,
        usage,
        royalties,
        ledger,
        identify,
        explain,
        export,
        policy,
        recall,
        reminders,
        audit,
        receipt,
        witness,
    ):
        app.add_typer(part.commands)
    for commands in _contributed():
        app.add_typer(commands)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status. Errors are one line; `--debug` shows where they came from."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 done, 1 refused or failed, 2 wrongly called."""
    state = CliState()
    try:
        status = typer.main.get_command(application()).main(
            args=None if arguments is None else list(arguments),
            prog_name="imprimatur",
            standalone_mode=False,
            obj=state,
        )
    except TyperException as exc:  # wrongly called: what was wrong, or the help
        return _wrongly_called(exc)
    except (Abort, KeyboardInterrupt):
        complain("stopped")
        return _INTERRUPTED
    except ImprimaturError as exc:
        return _failed(state, exc.message)
    except ValidationError as exc:  # a value of the right kind that makes no request
        return _failed(state, first_fault(exc))
    except OSError as exc:  # most often a file that cannot be written where --out says
        return _failed(state, f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))
    except Exception as exc:  # the last line of defence: people get a line, not a traceback
        return _failed(state, f"unexpected {type(exc).__name__}: {exc}; run again with --debug and report it")
    return status if isinstance(status, int) else 0


def _wrongly_called(error: TyperException) -> int:
    message = error.format_message().replace("Value error, ", "").strip()
    if message:  # none when a group was called alone: its help has been shown
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "imprimatur"
        complain(f"{message.rstrip('.')}; see '{command} --help'")
    return error.exit_code


def _failed(state: CliState, message: str) -> int:
    if state.debug:
        raise
    complain(message)
    return 1


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"imprimatur {software_version()}")
        raise typer.Exit


def _options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, and log what happens.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A governed registry of learned visual concepts: train, approve, compose, audit."""
    state = context.ensure_object(CliState)
    state.debug = debug
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING)


def _contributed() -> list[typer.Typer]:
    found = sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    loaded = (_load(point) for point in found)
    return [commands for commands in loaded if commands is not None]


def _load(point: importlib.metadata.EntryPoint) -> typer.Typer | None:
    try:
        commands = point.load()
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] in _OURS:
            raise
        _logger.debug("%s commands are left out: %s is not installed", point.name, exc.name)
        return None
    return commands if isinstance(commands, typer.Typer) else None
