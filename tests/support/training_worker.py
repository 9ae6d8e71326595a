"""A worker process for tests: `python training_worker.py DATABASE_URL DIRECTORY ROUND_SECONDS`.

It runs the real queue with the training function of `support.training`; the registry writes each submission as a line
of DIRECTORY/submissions.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from support.training import SERVICE_CREDENTIAL, CountingTrain, MemoryRegistry, make_bench

from trainer.jobs.loop import serve_queue


def main() -> None:
    url, directory, round_seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    logging.basicConfig(level=logging.INFO)
    registry = MemoryRegistry(journal=directory / "submissions")
    bench = make_bench(url, directory, clock=lambda: datetime.now(UTC), registry=registry)
    train = CountingTrain(round_seconds=round_seconds)
    serve_queue(bench.runtime, train=train, credential=SERVICE_CREDENTIAL, signer=bench.signer)


if __name__ == "__main__":
    main()
