"""Every case directory: what must verify does, and what must fail does so with just the error that it names."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from cases.generate import KINDS, files_of
from support.governed import NOW, make_trust_root
from tuf.ngclient._internal import trusted_metadata_set

from sdk import errors
from sdk.acts import acts_of, verify_document
from sdk.audit import verify_log
from sdk.client.mirror import LogMirror
from sdk.receipt import require_about, verify_log_proof
from sdk.signing.trust import verify_trust_root
from sdk.signing.tuf_client import fetch_target
from sdk.spec.digest import Digest
from sdk.spec.envelope import parse_envelope
from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_policy import parse_log_policy

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
    words = case / "words"
    assert not words.exists() or words.read_text().strip() in str(failed.value)


def verify_receipt(case: Path) -> None:
    proven = verify_log_proof(
        (case / "receipt.tlog-proof").read_bytes(), parse_log_policy((case / "policy.txt").read_bytes())
    )
    about = json.loads((case / "about.json").read_text("utf-8"))
    evidence = Digest.of((case / "evidence").read_bytes()) if (case / "evidence").exists() else None
    require_about(proven, event=AuditEventType(about["event"]), subject=about["subject"], evidence=evidence)


def mirror(folder: Path) -> LogMirror:
    """A log in a folder, as tlog-tiles lays it out."""
    return LogMirror(lambda name: (folder / name).read_bytes())


def verify_mirror(case: Path) -> None:
    seen = case / "remembered.txt"
    verify_log(mirror(case), make_trust_root(), remembered=[seen.read_bytes()] if seen.exists() else [])


def verify_act(case: Path) -> None:
    """What `imprimatur audit verify --log FOLDER --trust-root FILE --evidence FILE` does."""
    trust = verify_trust_root(parse_envelope((case / "trust-root.json").read_bytes()), now=NOW)
    about, document = json.loads((case / "about.json").read_text("utf-8")), (case / "document.json").read_bytes()
    log = verify_log(mirror(case), trust)
    for act in acts_of(log.entries, event=AuditEventType(about["event"]), subject=about["subject"], document=document):
        assert verify_document(document, act, trust)


def read_repository(case: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Visit it once earlier, if the client did, and at the moment of the case."""
    for served, at in (("first", "first_at"), ("served", "at")):
        if not (case / at).exists():
            continue
        moment = datetime.fromisoformat((case / at).read_text().strip())
        monkeypatch.setattr(trusted_metadata_set.datetime, "datetime", clock_at(moment))
        found = fetch_target(
            "trust-root.json", root=case / "root.json", cache=cache, fetch=partial(fetch_from, case / served)
        )
    assert found == (case / "expected").read_bytes()


def clock_at(moment: datetime) -> type:
    """The clock of ngclient, which takes the time from the system."""
    return type("Clock", (), {"now": staticmethod(lambda tz: moment)})


def fetch_from(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError as exc:
        raise errors.NotFound(name) from exc


@pytest.mark.parametrize("case", cases("tuf"), ids=lambda case: case.name)
def test_tuf(case: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check(case, lambda case: read_repository(case, monkeypatch, tmp_path))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_generator_makes_the_cases_that_are_here(kind: str) -> None:
    for name in KINDS[kind]:
        for path, content in files_of(kind, name).items():
            assert (HERE / kind / name / path).read_bytes() == content, "a format changed"


@pytest.mark.parametrize("case", cases("receipts"), ids=lambda case: case.name)
def test_receipts(case: Path) -> None:
    check(case, verify_receipt)


@pytest.mark.parametrize("case", cases("logs"), ids=lambda case: case.name)
def test_logs(case: Path) -> None:
    check(case, verify_mirror)


@pytest.mark.parametrize("case", cases("acts"), ids=lambda case: case.name)
def test_acts(case: Path) -> None:
    check(case, verify_act)
