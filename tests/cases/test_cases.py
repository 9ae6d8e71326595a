"""Every case directory: what must verify does, and what must fail does so with just the error that it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.governed import make_trust_root

from sdk import errors
from sdk.audit import verify_log
from sdk.receipt import require_about, verify_log_proof
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_policy import parse_log_policy
from sdk.spec.log_tiles import TILE_WIDTH, entries_path, tile_path

HERE = Path(__file__).resolve().parent


def cases(kind: str) -> list[Path]:
    return sorted(path for path in (HERE / kind).iterdir() if path.is_dir())


def check(case: Path, verify: object) -> None:
    assert (case / "README").read_text().strip()
    assert case.name.endswith("_fail") == (case / "error").exists()
    if not case.name.endswith("_fail"):
        verify(case)  # type: ignore[operator]
        return
    with pytest.raises(errors.ImprimaturError) as failed:
        verify(case)  # type: ignore[operator]
    assert type(failed.value).__name__ == (case / "error").read_text().strip(), failed.value


def verify_receipt(case: Path) -> None:
    proven = verify_log_proof(
        (case / "receipt.tlog-proof").read_bytes(), parse_log_policy((case / "policy.txt").read_bytes())
    )
    about = json.loads((case / "about.json").read_text("utf-8"))
    evidence = Digest.of((case / "evidence").read_bytes()) if (case / "evidence").exists() else None
    require_about(proven, event=AuditEventType(about["event"]), subject=about["subject"], evidence=evidence)


class Mirror:
    """A log in a folder, as tlog-tiles lays it out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log_checkpoint(self) -> bytes:
        return (self.folder / "checkpoint").read_bytes()

    def log_tile(self, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return (self.folder / tile_path(level, index, width=width)).read_bytes()

    def log_entry_bundle(self, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return (self.folder / entries_path(index, width=width)).read_bytes()


def verify_mirror(case: Path) -> None:
    seen = case / "remembered.txt"
    verify_log(Mirror(case), make_trust_root(), remembered=[seen.read_bytes()] if seen.exists() else [])


@pytest.mark.parametrize("case", cases("receipts"), ids=lambda case: case.name)
def test_receipts(case: Path) -> None:
    check(case, verify_receipt)


@pytest.mark.parametrize("case", cases("logs"), ids=lambda case: case.name)
def test_logs(case: Path) -> None:
    check(case, verify_mirror)
