"""Versions in folders, one fault each: whatever folder is in `tests/vectors/verify` is run. Adding one needs no code."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest

import sdk.verify
from sdk.cache import FileLogMemory, StatusWatch
from sdk.errors import ImprimaturError
from sdk.signing.trust import verify_trust_root
from sdk.spec.bundle import VersionBundle
from sdk.spec.canonical import parse_wire
from sdk.spec.envelope import parse_envelope
from sdk.spec.ids import parse_version_ref
from sdk.verify import verify_artefact, verify_version

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
CASES = sorted(path for path in (VECTORS / "verify").iterdir() if path.is_dir())
STEPS = [int(number) for number in re.findall(r"^ ?(\d+)\. ", sdk.verify.__doc__ or "", re.MULTILINE)]


def run(case: Path, seen: Path) -> None:
    """What a client does with what it was sent, and with what it saw before, in the folder `seen`."""
    asked = json.loads((case / "case.json").read_text())
    now = datetime.fromisoformat(asked["now"])
    envelope = parse_envelope((case / "trust-root.json").read_bytes().strip())
    at = min(now, datetime.fromisoformat("2026-11-24T12:00:00+00:00"))
    known = case / "known-root.json"
    previous = verify_trust_root(parse_envelope(known.read_bytes().strip()), now=at) if known.exists() else None
    trust = verify_trust_root(envelope, now=at, previous=previous)
    version = verify_version(
        parse_wire(VersionBundle, (case / "bundle.json").read_bytes().strip(), "bundle"),
        ref=parse_version_ref(asked["ref"]),
        trust=trust,
        now=now,
        status_list=(case / "status-list.jwt").read_bytes(),
    )
    assert version.status_list
    memory = FileLogMemory(seen)
    if "seen" in asked:
        memory.remember_status(version.status_list.id, datetime.fromisoformat(asked["seen"]))
    StatusWatch(memory).see(version.status_list)
    if (case / "artefact.bin").exists():
        verify_artefact(version.manifest.artefacts[0], (case / "artefact.bin").read_bytes(), about=version.name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path, tmp_path: Path) -> None:
    expected = json.loads((case / "case.json").read_text())
    assert len((case / "README.md").read_text().splitlines()) == 1
    assert ("error" in expected) == case.name.endswith("_fail")
    if "error" not in expected:
        run(case, tmp_path)
        return
    with pytest.raises(ImprimaturError, match=re.escape(expected["words"])) as caught:
        run(case, tmp_path)
    assert caught.value.code == expected["error"]


def test_every_numbered_step_has_a_case_that_must_fail() -> None:
    failing = {int(case.name[:2]) for case in CASES if case.name.endswith("_fail")}
    assert list(range(1, len(STEPS) + 1)) == STEPS
    assert failing == set(STEPS)


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_cases", VECTORS / "verify_cases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(path.name for path in CASES))
def test_the_script_makes_the_cases_that_are_here(name: str) -> None:
    made = SCRIPT.CASES[name]().files() if name in SCRIPT.CASES else {}
    for file, content in made.items():
        assert (VECTORS / "verify" / name / file).read_bytes() == content, "a format changed"


SCRIPT = load_script()
