"""`imprimatur up` and `down`: the embedded database and the processes that make a running Imprimatur.

`up`, in this order:
1. Takes the lock on DIR/up.pid. The kernel lets go of it when the process dies, so a file left behind misleads nobody.
2. Checks that both ports are free.
3. Starts the embedded database, writes its address, migrates.
4. Starts registry, trainer, worker and the delivery of webhooks; waits until both services answer /healthz.
5. Watches: a database or a child that died is started again. A service that lived shortly would only die again: then
   everything is stopped, and its last words are shown. The two workers take nobody with them: while the services
   go on answering one is started again, after waits that double with every short life.
6. On SIGINT or SIGTERM stops the children, then the database.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import httpx

from registry.cli import postgres
from registry.cli.process import Child, command_line, start_child, stop_children, tail
from registry.cli.workspace import Address, Workspace, trainer_address
from registry.db import upgrade
from registry.settings import read_settings
from sdk.errors import ConfigurationError

READY_SECONDS: Final = 120.0  # seconds both services have to answer
DOWN_SECONDS: Final = 90.0  # seconds `down` waits
SHORT_LIFE_SECONDS: Final = 10.0  # a child that lived for less is not started again
LONGEST_WAIT_SECONDS: Final = 300.0  # between two starts of a worker that keeps dying
WORKER: Final = "worker"
WEBHOOKS: Final = "webhooks"
WORKERS: Final = frozenset({WORKER, WEBHOOKS})
_TICK_SECONDS: Final = 0.25
_WATCH_SECONDS: Final = 1.0

Say = Callable[[str], None]


class _Stopped(Exception):
    """SIGINT or SIGTERM came."""


@dataclass(frozen=True, kw_only=True)
class _Services:
    """What a workspace runs, and where."""

    registry: Address
    trainer: Address
    database_url: str  # empty: embedded


def up(workspace: Workspace, say: Say) -> None:
    """Run everything until told to stop.

    Raises:
        ConfigurationError: it is up already, a port is taken, the database does not start, or a process died.
    """
    services = _services(workspace)
    with _raising_on_signals(), suppress(_Stopped), ExitStack() as stack:
        stack.enter_context(_lock(workspace))
        require_free(services.registry, workspace, "registry")
        require_free(services.trainer, workspace, "trainer")
        say("starting the database")
        upgrade(stack.enter_context(_database(workspace, services.database_url)))
        children = _start_children(workspace, stack)
        for name, address in (("registry", services.registry), ("trainer", services.trainer)):
            say(f"waiting for the {name} at {address}")
            _wait_for_health(address, name, children)
        say(f"up: registry {services.registry}, trainer {services.trainer}; logs in {workspace.logs}")
        _watch(workspace, services, children, say)
    say("stopped")


def up_detached(workspace: Workspace, say: Say) -> None:
    """Start `up` in the background and return once everything answers.

    Raises:
        ConfigurationError: it did not come up; its last words are shown.
    """
    services = _services(workspace)
    if pid := running_pid(workspace):
        raise _already_up(workspace, pid)
    log = workspace.logs / "up.log"
    log.unlink(missing_ok=True)
    with log.open("ab") as output:
        background = subprocess.Popen(
            command_line("up", str(workspace.root)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_SECONDS
    while "\nup: " not in "\n" + tail(log, 100):
        if background.poll() is not None:
            raise ConfigurationError(f"{workspace.root} did not come up: {tail(log, 8)}")
        if time.monotonic() > deadline:
            background.terminate()
            raise ConfigurationError(f"{workspace.root} was not up after {READY_SECONDS:.0f} s: {tail(log, 8)}")
        time.sleep(_TICK_SECONDS)
    background.returncode = 0  # it lives on; nobody is to wait for it
    say(
        f"up in the background: registry {services.registry}, trainer {services.trainer}; 'imprimatur down DIR' stops it"
    )


def down(workspace: Workspace, say: Say) -> None:
    """Stop what `up` started, also when `up` itself was killed. Nothing running is nothing to do."""
    pid = running_pid(workspace)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_SECONDS
        while running_pid(workspace) == pid:
            if time.monotonic() > deadline:
                raise ConfigurationError(f"process {pid} did not stop in {DOWN_SECONDS:.0f} s; see {workspace.logs}")
            time.sleep(_TICK_SECONDS)
    left = postgres.running(workspace.database) is not None
    postgres.stop(workspace.database)
    workspace.database_url.unlink(missing_ok=True)
    say("stopped" if pid is not None or left else "nothing was running")


def running_pid(workspace: Workspace) -> int | None:
    """The process that holds the workspace up, if one does."""
    try:
        with workspace.pid.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
    except FileNotFoundError:
        return None
    return None


def require_free(address: Address, workspace: Workspace, name: str) -> None:
    """Return if nothing listens at `address`. Raises `ConfigurationError` naming the port and the mend."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as exc:
            why = "is in use" if exc.errno == errno.EADDRINUSE else f"cannot be used ({exc.strerror})"
            raise ConfigurationError(
                f"port {address.port} on {address.host} {why}; stop what listens there, or set another port under "
                f"[{name}] in {workspace.settings} and in {workspace.profiles}/*.toml"
            ) from exc


@contextmanager
def _lock(workspace: Workspace) -> Iterator[None]:
    with workspace.pid.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            file.seek(0)
            raise _already_up(workspace, int(file.read() or 0)) from exc
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


@contextmanager
def database_alone(workspace: Workspace) -> Iterator[str]:
    """The workspace's database at its newest schema, with nothing else running. Raises `ConfigurationError` when it is up."""
    with _lock(workspace), _database(workspace, _services(workspace).database_url) as url:
        upgrade(url)
        yield url


def _already_up(workspace: Workspace, pid: int) -> ConfigurationError:
    return ConfigurationError(f"{workspace.root} is up already, process {pid}; 'imprimatur down DIR' stops it")


def _services(workspace: Workspace) -> _Services:
    settings = read_settings(workspace.settings, os.environ)
    return _Services(
        registry=Address(host=settings.host, port=settings.port),
        trainer=trainer_address(workspace),
        database_url=settings.database_url,
    )


@contextmanager
def _database(workspace: Workspace, given: str) -> Iterator[str]:
    if given:
        yield given
        return
    try:
        url = postgres.start(workspace.database)
        _write_private(workspace.database_url, url)
        yield url
    finally:
        workspace.database_url.unlink(missing_ok=True)
        postgres.stop(workspace.database)


def _start_children(workspace: Workspace, stack: ExitStack) -> list[Child]:
    children: list[Child] = []
    stack.callback(stop_children, children)
    root, logs = str(workspace.root), workspace.logs
    for name, arguments in (
        ("registry", ("registry", "serve", root)),
        ("trainer", ("trainer", "serve", root)),
        (WORKER, ("trainer", "worker", root)),
        (WEBHOOKS, ("registry", "deliver", root)),
    ):
        children.append(start_child(name, *arguments, log=logs / f"{name}.log"))
    return children


def _wait_for_health(address: Address, name: str, children: list[Child]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(base_url=str(address), timeout=5.0, trust_env=False) as client:
        while True:
            _require_alive(children)
            with suppress(httpx.TransportError):
                if client.get("/healthz").is_success:
                    return
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"the {name} at {address} did not answer in {READY_SECONDS:.0f} s; see its log"
                )
            time.sleep(_TICK_SECONDS)


def _watch(workspace: Workspace, services: _Services, children: list[Child], say: Say) -> None:
    waits = dict.fromkeys(WORKERS, SHORT_LIFE_SECONDS)  # from one start of a worker to the next
    while True:
        time.sleep(_WATCH_SECONDS)
        if not services.database_url and postgres.running(workspace.database) is None:
            say("the database died; starting it again")
            postgres.start(workspace.database)
        for place, child in enumerate(children):
            wait = waits.get(child.name, SHORT_LIFE_SECONDS)
            old_enough = time.monotonic() - child.started >= wait
            if child.ended and old_enough:
                say(f"the {child.name} ended with status {child.process.returncode}; starting it again")
                children[place] = start_child(child.name, *child.arguments, log=child.log)
            if child.name in WORKERS and old_enough:
                waits[child.name] = min(wait * 2, LONGEST_WAIT_SECONDS) if child.ended else SHORT_LIFE_SECONDS
        _require_alive([child for child in children if child.name not in WORKERS])


def _require_alive(children: list[Child]) -> None:
    for child in children:
        if child.ended:
            raise ConfigurationError(
                f"the {child.name} ended with status {child.process.returncode}; the end of {child.log}:\n"
                f"{child.last_words()}"
            )


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


@contextmanager
def _raising_on_signals() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        for caught in (signal.SIGINT, signal.SIGTERM):
            signal.signal(caught, signal.SIG_IGN)  # once is enough; stopping is not interrupted
        raise _Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
