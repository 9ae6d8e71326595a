"""The servers that are measured: two processes each, started for one measurement and ended after it.

`python -m benchmarks.registry.servers URL PORT` is one process of ours: the application as `imprimatur registry serve`
serves it, log lines included, with rate limits out of the way.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

START_SECONDS = 300.0  # MLflow migrates its database first
PLENTY = 1_000_000


def serve(database_url: str, port: int) -> None:
    """Serve until told to stop."""
    import uvicorn
    from support.registry import SettableClock, make_test_runtime

    from registry.app import create_app
    from registry.db import libpq_url
    from registry.runtime import APP_ROLE
    from registry.settings import Settings
    from registry.stamps import PostgresStamps
    from registry.telemetry.logs import set_up_logging

    set_up_logging()
    clock = SettableClock()
    settings = Settings(requests_per_second=PLENTY, requests_at_once=PLENTY, anonymous_at_once=PLENTY)
    runtime = make_test_runtime(database_url, clock=clock, settings=settings)
    runtime = replace(runtime, stamps=PostgresStamps(libpq_url(database_url), APP_ROLE, clock))
    uvicorn.run(create_app(runtime), port=port, log_config=None, access_log=False, server_header=False)


@contextmanager
def ours(database_url: str, ports: list[int], log: Path) -> Iterator[list[int]]:
    """Two processes, a port each; gives their ids."""
    commands = [[sys.executable, "-m", "benchmarks.registry.servers", database_url, str(port)] for port in ports]
    with _running(commands, log) as processes:
        for port in ports:
            _wait(f"http://127.0.0.1:{port}/readyz", log)
        yield processes


@contextmanager
def mlflows(python: Path, database_url: str, port: int, log: Path) -> Iterator[list[int]]:
    """MLflow's server with two workers on one port; gives the ids of its processes."""
    artefacts = log.parent / "mlflow-artefacts"
    command = [
        *(str(python), "-m", "mlflow", "server", "--backend-store-uri", database_url, "--workers", "2"),
        *("--host", "127.0.0.1", "--port", str(port), "--default-artifact-root", str(artefacts)),
    ]
    with _running([command], log) as processes:
        _wait(f"http://127.0.0.1:{port}/health", log)
        yield processes


def cpu_seconds(pids: list[int]) -> float:
    """What these processes and all that they started have used of the processors so far."""
    roots = [psutil.Process(pid) for pid in pids]
    everybody = {process for root in roots for process in (root, *root.children(recursive=True))}
    times = [process.cpu_times() for process in everybody if process.is_running()]
    return sum(time.user + time.system for time in times)


@contextmanager
def _running(commands: list[list[str]], log: Path) -> Iterator[list[int]]:
    with log.open("ab") as output:
        processes = [
            subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) for command in commands
        ]
        try:
            yield [process.pid for process in processes]
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)


def _wait(address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - an address of this file
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise SystemExit(f"{address} did not answer; see {log}:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.2)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
