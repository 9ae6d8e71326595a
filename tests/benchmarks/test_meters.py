"""The peak of a block is its own, whatever was held and given back before it."""

from __future__ import annotations

import sys

import pytest
import torch

from benchmarks.concepts.meters import measured

PIECES, SIDE = 2000, 100  # 80 MB in pieces of 40 kB, which the allocator keeps when they are freed


def take() -> list[torch.Tensor]:
    return [torch.ones(SIDE, SIDE) for _ in range(PIECES)]


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from Linux's /proc")
def test_memory_that_was_freed_before_hides_no_peak() -> None:
    first = take()
    pin = torch.ones(SIDE, SIDE)  # behind them, so that the allocator cannot shrink by itself
    del first
    with measured(torch.device("cpu")) as reading:
        assert len(take()) == PIECES
    assert pin.sum() == SIDE**2
    assert reading.peak_bytes is not None
    assert reading.peak_bytes > 60e6
