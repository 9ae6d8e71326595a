"""Several processes that serve one port: a parent that listens, and as many workers as are asked for. `uvicorn` runs them.

The parent opens the port once and hands it to every worker; whichever is free takes the next connection. A worker that dies
or hangs is started again. What the clock asks for and one process is to do stays with the parent; see `serving.serve`.
Workers share nothing but the database, the blob store, the key files, and the numbers that /metrics tells: each adds its own to a
folder, and whichever is asked tells the sum.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from registry.app import create_app
from registry.cli.process import ask_to_die_with_parent
from registry.cli.trust_reload import kept_in_force
from registry.cli.workspace import open_workspace
from registry.settings import Settings
from registry.telemetry.logs import set_up_logging
from registry.telemetry.metrics import SHARED_VARIABLE
from sdk.errors import ImprimaturError

GRACE_SECONDS: Final = 10  # seconds requests in progress have to end
ANSWER_SECONDS: Final = 60  # seconds a worker has to answer its parent, the time that it takes to start included
_logger = logging.getLogger(__name__)


def how_to_serve(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told, however many processes there are."""
    return {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,
        "access_log": False,  # `registry.telemetry.requests` writes the line
        "server_header": False,
        "forwarded_allow_ips": settings.trusted_proxies,
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }


def serve_with_workers(root: Path, settings: Settings, workers: int) -> None:
    """Serve the workspace at `root` by `workers` processes until told to stop."""
    config = uvicorn.Config(
        partial(_worker, root, os.getpid()),
        factory=True,
        workers=workers,
        timeout_worker_healthcheck=ANSWER_SECONDS,
        **how_to_serve(settings),
    )
    with tempfile.TemporaryDirectory(prefix="imprimatur-metrics-") as shared:
        os.environ[SHARED_VARIABLE] = (
            shared  # prometheus_client reads it when a worker imports it, and at no other time
        )
        _Workers(config, sockets=[config.bind_socket()]).run()


class _Workers(Multiprocess):
    """Notices at once that a worker has ended, also while it waits for that worker's answer.

    uvicorn's parent keeps the worker's end of the pipe open too, and so reads no end of file: it would wait out all of
    `ANSWER_SECONDS`, and meanwhile mend nothing.
    """

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()


def _worker(root: Path, parent: int) -> FastAPI:
    """The application of one worker, whose runtime lives as long as its process."""
    from registry.cli.serving import open_runtime, workspace_settings

    ask_to_die_with_parent(parent)
    set_up_logging()
    stack = ExitStack()
    atexit.register(stack.close)
    try:
        settings = workspace_settings(open_workspace(root))
        runtime = stack.enter_context(open_runtime(settings))
        app = create_app(runtime)
        stack.enter_context(kept_in_force(app, settings.trust_root, seconds=settings.trust_root_seconds))
    except ImprimaturError as exc:
        _logger.error("a worker cannot serve: %s", exc)
        sys.exit(STARTUP_FAILURE)  # the parent then stops instead of starting it again for ever
    return app
