"""The measures of the log, one line of JSON each; figures that are compared are of one run on one machine.

python -m benchmarks.log                        # a minute
python -m benchmarks.log --sizes 1000 10000 100000 1000000 10000000 --seconds 10
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from benchmarks.log.bench import append_one, bench_runtime, fill
from registry.log.proofs import file_receipt, receipt
from registry.log.service import tree_size
from registry.runtime import Runtime
from sdk.receipt import verify_log_proof
from sdk.signing.cosign import policy_of
from sdk.signing.trust import verify_trust_root
from sdk.spec.bundle import VersionBundle
from sdk.spec.canonical import parse_wire
from sdk.spec.envelope import parse_envelope
from sdk.spec.ids import parse_version_ref
from sdk.spec.log_proof import encode_log_proof, proof_of_receipt
from sdk.verify import verify_version

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "vectors"
ROUNDS = 5  # the two that are compared take turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    say(measure="verify", version_ms=version_ms())
    with bench_runtime(max(options.writers)) as runtime:
        loaded = 0
        for size in sorted(options.sizes):
            fill(runtime, loaded, size)
            say(measure="cost", entries=size, **costs(runtime))
            with runtime.transaction() as session:
                loaded = tree_size(session)
        for writers in options.writers:
            say(measure="append", entries=loaded, writers=writers, **rates(runtime, writers, options.seconds))


def version_ms() -> float:
    """Median milliseconds of verifying a version offline: signatures, proofs, status; the one of the test vectors."""
    at = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    trust = verify_trust_root(parse_envelope((VECTORS / "trust-root-2.json").read_bytes()), now=at)
    bundle = parse_wire(VersionBundle, (VECTORS / "version-bundle.json").read_bytes(), "version")
    signed, ref = (VECTORS / "status-list.jwt").read_bytes(), parse_version_ref("demo/fox@1")
    return timed(lambda number: verify_version(bundle, ref=ref, trust=trust, now=at, status_list=signed))


def costs(runtime: Runtime) -> dict[str, float]:
    """Median milliseconds of an append, of a receipt (checkpoint and inclusion proof), and of verifying one offline."""
    policy = policy_of(runtime.trust_root)
    append_ms = timed(lambda number: append_one(runtime, number))
    with runtime.transaction() as session:
        size = tree_size(session)
    places = [size * number // 101 for number in range(101)]
    receipt_ms = timed(lambda number: receipt(runtime, places[number]))
    with runtime.transaction() as session:
        proofs = [encode_log_proof(proof_of_receipt(file_receipt(session, runtime, index))) for index in places]
    verify_ms = timed(lambda number: verify_log_proof(proofs[number], policy))
    return {"append_ms": append_ms, "receipt_ms": receipt_ms, "verify_ms": verify_ms}


def timed(act: Callable[[int], object]) -> float:
    """The median of 100 times `act`, in milliseconds, after one that is not counted."""
    act(0)
    taken = []
    for number in range(1, 101):
        start = time.perf_counter()
        act(number)
        taken.append(time.perf_counter() - start)
    return round(1000 * statistics.median(taken), 3)


def rates(runtime: Runtime, writers: int, seconds: float) -> dict[str, float]:
    """Committed transactions a second: one entry appended, and one row inserted in a table without any rule."""
    bare, appended = [], []
    for _ in range(ROUNDS):
        bare.append(rate(lambda: insert_one(runtime), writers, seconds / ROUNDS))
        appended.append(rate(lambda: append_one(runtime, 1), writers, seconds / ROUNDS))
    ratios = [one / other for one, other in zip(appended, bare, strict=True)]
    return {
        "bare_per_second": round(statistics.median(bare), 1),
        "append_per_second": round(statistics.median(appended), 1),
        "ratio": round(statistics.median(ratios), 3),
    }


def insert_one(runtime: Runtime) -> None:
    """What the log is compared with: one row of an entry's length, in a transaction of its own."""
    with runtime.transaction() as session:
        session.execute(text("INSERT INTO bare (content) VALUES (:content)"), {"content": bytes(220)})


def rate(act: Callable[[], object], writers: int, seconds: float) -> float:
    """How often a second `writers` threads get `act` done."""
    end = time.perf_counter() + seconds

    def write() -> int:
        done = 0
        while time.perf_counter() < end:
            act()
            done += 1
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        total = sum(pool.map(lambda _: write(), range(writers)))
    return total / (time.perf_counter() - start)


def say(**figures: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
