"""Measure and print one line of JSON for each benchmark. Targets: marking 20 ms, looking up 50 ms, attention 1.15."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.credentials.attention import measure_attention
from benchmarks.credentials.looking_up import measure_looking_up
from benchmarks.credentials.marking import measure_marking
from benchmarks.credentials.surviving import SIDES, measure_surviving
from benchmarks.credentials.telling_apart import measure_telling_apart

ROOT = Path(__file__).resolve().parents[2]
MEASURES = ("marking", "looking_up", "surviving", "telling_apart", "attention")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.credentials", description=__doc__)
    parser.add_argument("--fingerprints", type=int, default=1_000_000, help="on record")
    parser.add_argument("--repeat", type=int, default=15, help="runs of each measurement")
    parser.add_argument("--copies", type=int, default=12, help="of each picture that are told apart")
    parser.add_argument(
        "--sides", type=int, nargs="+", default=SIDES, help="pixels of the pictures that are to survive"
    )
    parser.add_argument("--only", choices=MEASURES, help="one of them")
    options = parser.parse_args(arguments)
    measures = {
        "marking": lambda: measure_marking(ROOT / "examples/pictures/1.png", options.repeat),
        "looking_up": lambda: measure_looking_up(options.fingerprints, options.repeat),
        "surviving": lambda: measure_surviving(options.sides),
        "telling_apart": lambda: measure_telling_apart(options.copies),
        "attention": lambda: measure_attention(ROOT / "trainer/mini/weights/base", options.repeat),
    }
    for name, measure in measures.items():
        if options.only in (None, name):
            print(json.dumps(measure()), flush=True)


if __name__ == "__main__":
    main()
