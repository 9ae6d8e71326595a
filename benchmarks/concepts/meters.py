"""Seconds and peak memory of a block, on the processor or the card."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets VmHWM to the present size


@dataclass
class Reading:
    """Filled when the block ends. `peak_bytes` is above what was held when it began; None where it cannot be read."""

    seconds: float = 0.0
    peak_bytes: int | None = None


@contextmanager
def measured(device: torch.device) -> Iterator[Reading]:
    """Measure the block; work queued on the card is waited for."""
    reading = Reading()
    held = _begin(device)
    started = time.monotonic()
    try:
        yield reading
    finally:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        reading.seconds = time.monotonic() - started
        peak = _peak(device)
        reading.peak_bytes = None if peak is None or held is None else max(0, peak - held)


def _begin(device: torch.device) -> int | None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return int(torch.cuda.memory_allocated(device))
    _give_back()
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return None
    return _status("VmRSS")


def _give_back() -> None:
    """Return freed memory to the system: a block that used it again would seem to need none."""
    gc.collect()
    with suppress(OSError, AttributeError):  # malloc_trim is glibc's
        ctypes.CDLL(None).malloc_trim(0)


def _peak(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else _status("VmHWM")


def _status(field: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)
