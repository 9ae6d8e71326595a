"""`imprimatur trainer ...`: the service and its worker. `imprimatur up` starts both; these are for starting them apart.

Nothing heavy is imported before a command runs: this module is loaded for every `imprimatur` command.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from sdk.profile import load_profile
from trainer.settings import read_settings

commands = typer.Typer()
_trainer = typer.Typer(no_args_is_help=True, help="Run the training service and its workers.")
commands.add_typer(_trainer, name="trainer")

Workspace = Annotated[
    Path, typer.Argument(metavar="DIR", help="The workspace made by 'imprimatur init'.", show_default=False)
]


@_trainer.command()
def serve(directory: Workspace) -> None:
    """Serve the trainer's HTTP interface: pictures, jobs, their files."""
    import uvicorn

    from trainer.app import create_app, make_runtime

    settings = read_settings(directory, os.environ)
    load_profile(settings.own_profile)  # without one nobody could be asked who calls
    _log_to_stderr()
    app = create_app(make_runtime(settings))
    uvicorn.run(
        app, host=settings.host, port=settings.port, log_config=None, server_header=False, timeout_graceful_shutdown=10
    )


@_trainer.command()
def worker(directory: Workspace) -> None:
    """Work on training jobs, one at a time, until stopped. Start one for each GPU."""
    settings = read_settings(directory, os.environ)
    _log_to_stderr()
    from trainer.app import make_runtime
    from trainer.worker import run

    run(make_runtime(settings))


@_trainer.command()
def renderer(directory: Workspace) -> None:
    """Draw for applications that have no GPU, one render at a time, until stopped. Start one for each GPU."""
    settings = read_settings(directory, os.environ)
    _log_to_stderr()
    from trainer.app import make_runtime
    from trainer.renderer import run

    run(make_runtime(settings))


def _log_to_stderr() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line a request is too much
    logging.getLogger("procrastinate").setLevel(logging.WARNING)  # its upkeep speaks every few seconds
