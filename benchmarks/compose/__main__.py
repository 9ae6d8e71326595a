"""`python -m benchmarks.compose`: what governance costs. One line of JSON a measurement, then what each is held to."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.compose.measures import measure_decisions, measure_first, measure_warm
from benchmarks.compose.workspace import governed_workspace
from registry.settings import SHIPPED_POLICIES
from sdk.policy.bundle import load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.resolve import connect


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.compose", description=__doc__)
    parser.add_argument("--calls", type=int, default=10, help="pairs of calls for each median")
    parser.add_argument("--steps", type=int, default=30, help="denoising steps")
    parser.add_argument("--batch", type=int, default=8, help="images of the batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    wanted = parser.parse_args(arguments)
    torch.set_num_threads(wanted.threads)
    _show("machine", {"load": os.getloadavg()[0], "threads": wanted.threads, "torch": torch.__version__})
    _show("decision", asdict(measure_decisions(CedarEngine(load_bundle(SHIPPED_POLICIES)), decisions=200)))
    with tempfile.TemporaryDirectory() as folder, governed_workspace(Path(folder) / "workspace") as profile:
        with connect(profile) as client:
            one = measure_warm(profile, client, calls=wanted.calls, images=1, steps=wanted.steps)
            _show("one image", asdict(one))
            calls = max(2, wanted.calls // 3)
            batch = measure_warm(profile, client, calls=calls, images=wanted.batch, steps=wanted.steps)
            _show("batch", asdict(batch))
        _show("first call", asdict(measure_first(profile)))
    _show("machine", {"load": os.getloadavg()[0]})


def _show(what: str, numbers: dict[str, object]) -> None:
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in numbers.items()}
    print(json.dumps({"measured": what, **rounded}), flush=True)


if __name__ == "__main__":
    main()
