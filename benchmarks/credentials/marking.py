"""Marking one picture of 512 pixels: each part by itself. Processor time and wall time, the middle of the repetitions."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from sdk.credentials.authority import create_authority
from sdk.credentials.concept_use import ConceptUse, CountedApproval, UsedVersion
from sdk.credentials.fingerprint import fingerprints_of_output
from sdk.credentials.mark import encode_png, mark_image
from sdk.credentials.signer import load_credential_signer
from sdk.credentials.watermark import embed, extract, new_watermark_id
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId

SIDE = 512  # pixels


def measure_marking(picture: Path, repeat: int) -> dict[str, Any]:
    """Milliseconds of each part, and of the three that mark a picture together."""
    image = Image.open(picture).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    watermark = new_watermark_id()
    marked = embed(image, watermark) or image
    png = encode_png(marked)
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        create_authority(keys, organization="Bench", now=datetime.now(UTC))
        signer = load_credential_signer(keys, holder="bench/app", now=datetime.now(UTC))
        parts: dict[str, Callable[[], object]] = {
            "watermark": lambda: embed(image, watermark),
            "fingerprints": lambda: fingerprints_of_output(marked),
            "credentials": lambda: mark_image(png, _use(), signer, watermark=watermark),
        }
        others: dict[str, Callable[[], object]] = {
            "png": lambda: encode_png(marked),
            "read_watermark": lambda: extract(marked),
        }
        times = {name: timed(part, repeat) for name, part in (parts | others).items()}
    together = sum(times[name][0] for name in parts)
    return {
        "bench": "marking",
        "side": SIDE,
        "cpu_ms": {name: round(cpu, 2) for name, (cpu, _) in times.items()},
        "wall_ms": {name: round(wall, 2) for name, (_, wall) in times.items()},
        "marking_cpu_ms": round(together, 2),
    }


def timed(action: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Milliseconds of the processor and of the clock, the middle of `repeat` runs after one that warms up."""
    action()
    cpu, wall = [], []
    for _ in range(repeat):
        before = time.process_time(), time.perf_counter()
        action()
        cpu.append(time.process_time() - before[0])
        wall.append(time.perf_counter() - before[1])
    return 1000 * median(cpu), 1000 * median(wall)


def _use() -> ConceptUse:
    version = UsedVersion(
        concept=ConceptId("bench/fox"),
        number=1,
        manifest=Digest.of(b"manifest"),
        consents=(Digest.of(b"consent"),),
        approvals=(CountedApproval(log_index=3),),
    )
    return ConceptUse(
        generation=RecordId.derive("gen", "bench"),
        versions=(version,),
        policy_bundle=Digest.of(b"bundle"),
        base_model=Digest.of(b"base"),
        log_origin="bench.example/log",
        intent_index=4,
    )
