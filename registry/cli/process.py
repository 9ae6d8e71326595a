"""One child process of `imprimatur up`: started with its output in a file, never outliving its parent, ended in time."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STOP_SECONDS: Final = 20.0  # seconds a child has to end by itself
_PR_SET_PDEATHSIG: Final = 1
_COMMAND: Final = "from sdk.cli import main; main()"  # the one command, of this very installation


@dataclass(frozen=True, kw_only=True)
class Child:
    """A started process and where its output goes."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes]
    started: float  # of time.monotonic

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def last_words(self, lines: int = 5) -> str:
        """The end of its output, for an error message."""
        return tail(self.log, lines)


def command_line(*arguments: str) -> list[str]:
    """The command line of `imprimatur ARGUMENTS` in this installation."""
    return [sys.executable, "-P", "-c", _COMMAND, *arguments]


def start_child(name: str, *arguments: str, log: Path) -> Child:
    """Start `imprimatur ARGUMENTS` in a process group of its own, so that Ctrl-C reaches the parent alone."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command_line(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
        )
    return Child(name=name, arguments=arguments, log=log, process=process, started=time.monotonic())


def stop_children(children: list[Child]) -> None:
    """Ask all to end, wait, and kill what does not."""
    for child in children:
        _signal(child, signal.SIGTERM)
    for child in children:
        try:
            child.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(child, signal.SIGKILL)
            child.process.wait()


def tail(log: Path, lines: int) -> str:
    """The last lines of a file that may not be there."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return "\n".join(line.rstrip() for line in deque(file, maxlen=lines))
    except OSError:
        return ""


def _signal(child: Child, number: signal.Signals) -> None:
    if child.ended:
        return
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        return


def ask_to_die_with_parent(parent: int) -> None:
    """Have the kernel end this process when `parent`, which started it, is gone, also if it is already; on Linux."""
    if sys.platform == "linux":
        _die_with(parent)()


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        # The signal is sent when the parent is gone, however it went; it may be gone already.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel
