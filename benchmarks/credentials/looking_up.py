"""Near fingerprints among many: the registry's own index and function, in an embedded PostgreSQL of its own.

Rows are random; a fingerprint that is asked for is one of them with 20 bits turned, as a recompressed crop has. Parents
of the rows are left out, which the lookup does not read.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg

from registry.cli import postgres
from registry.db import upgrade
from sdk.spec.fingerprint import FINGERPRINT_BITS
from sdk.spec.identify import NEAR

_TURNED: Final = 20  # bits
_ASK: Final = "SELECT * FROM near_fingerprints(%(asked)s::bit(256)[], %(near)s)"
_ASK_CROPS: Final = "SELECT * FROM near_by_part(%(asked)s::bit(256)[], %(near)s)"


def measure_looking_up(rows: int, repeat: int) -> dict[str, Any]:
    """Milliseconds to look up one fingerprint, the two of a picture and its mirror image, and the 80 of crops.

    Of the crops it says too how many of those that are there were found.
    """
    folder = Path(tempfile.mkdtemp(prefix="imprimatur-bench-"))
    folder.chmod(0o711)
    try:
        url = postgres.start(folder / "data")
        upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection:
            started = time.perf_counter()
            _fill(connection, rows)
            filled = time.perf_counter() - started
            times = {f"{asked}": _ask(connection, _ASK, rows, asked, repeat)[0] for asked in (1, 2)}
            times["80 crops"], found = _ask(connection, _ASK_CROPS, rows, 80, repeat)
    finally:
        postgres.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "bench": "looking_up",
        "fingerprints": rows,
        "fill_seconds": round(filled, 1),
        "wall_ms": times,
        "crops_found": found,
    }


def _fill(connection: psycopg.Connection[Any], rows: int) -> None:
    chosen = random.Random(1)  # noqa: S311 - no secret
    connection.execute("SET session_replication_role = replica")  # no parents
    with connection.cursor().copy(
        'COPY image_fingerprints (generation_id, "position", bits, tenant) FROM STDIN'
    ) as copy:
        for number in range(rows):
            copy.write_row(("gen_bench", number, _text(chosen.getrandbits(FINGERPRINT_BITS)), "bench"))
    connection.execute("SET session_replication_role = origin")
    connection.execute("VACUUM ANALYZE image_fingerprints")
    connection.execute("SELECT set_config('imprimatur.tenant', 'bench', false)")


def _ask(connection: psycopg.Connection[Any], question: str, rows: int, asked: int, repeat: int) -> tuple[float, float]:
    """The middle of `repeat` lookups of `asked` fingerprints, each near one that is there, and the least share found."""
    chosen = random.Random(2)  # noqa: S311 - no secret
    times, shares = [], []
    for _ in range(repeat + 1):
        picked = [chosen.randrange(rows) for _ in range(asked)]
        held = connection.execute(
            'SELECT bits FROM image_fingerprints WHERE "position" = ANY(%s)', (picked,)
        ).fetchall()
        turned = [_turned(int(bits, 2), chosen) for (bits,) in held]
        before = time.perf_counter()
        found = connection.execute(question, {"asked": turned, "near": NEAR}).fetchall()
        times.append(time.perf_counter() - before)
        shares.append(len(found) / len(held))
    if question is _ASK and min(shares) < 1:
        raise AssertionError("fingerprints are there, and not all were found")
    return round(1000 * median(times[1:]), 2), round(min(shares), 3)


def _turned(bits: int, chosen: random.Random) -> str:
    for place in chosen.sample(range(FINGERPRINT_BITS), _TURNED):
        bits ^= 1 << place
    return _text(bits)


def _text(bits: int) -> str:
    return format(bits, f"0{FINGERPRINT_BITS}b")
