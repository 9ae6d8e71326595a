"""The throughput benchmark runs, and its floor is the published one."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.networks import SHAPES
from benchmarks.throughput import count_flops, main


class TestThroughput:
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_a_tiny_network_is_measured(self, capsys: pytest.CaptureFixture[str], precision: str) -> None:
        torch.set_num_threads(1)
        main(["--tiny", "--steps", "1", "--batch", "2", "--precision", precision])
        speed = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert speed["m_step_seconds"] > 0
        assert speed["m_step_ratio"] > 1
        assert speed["against_plain"] == pytest.approx(speed["plain_seconds"] / speed["m_step_seconds"])

    def test_the_floor_of_stable_diffusion_is_402_gigamacs_a_pass_and_under_1_8_teraflops_an_update(self) -> None:
        forward, update = count_flops(SHAPES["sd15"], (64, 64))
        assert forward / 2e9 == pytest.approx(402, rel=0.01)
        assert 1.5e12 < update < 1.8e12
