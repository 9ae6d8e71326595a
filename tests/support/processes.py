"""Waiting for real processes, and addresses for them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from registry.cli.workspace import Address


def free_address() -> Address:
    """An address at which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Address(host="127.0.0.1", port=probe.getsockname()[1])


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether `condition` comes to hold in that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
