"""A running registry takes up the next trust root, and nothing that is none."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from support.registry import RegistryUnderTest
from support.versions import Steps, accepted, refused

from registry.cli.trust_reload import kept_in_force, take_up
from sdk.errors import ConfigurationError, ImprimaturError, TrustRootInvalid
from sdk.signing.signer import Signer
from sdk.signing.trust import TrustRoot, sign_trust_root
from sdk.spec.envelope import encode_envelope


def next_root(registry: RegistryUnderTest, **changes: Any) -> TrustRoot:
    root = registry.runtime.trust_root
    return root.model_copy(update={"version": root.version + 1} | changes)


def without(registry: RegistryUnderTest, name: str) -> dict[str, Any]:
    keys = registry.runtime.trust_root.keys
    return {"keys": {keyid: key for keyid, key in keys.items() if keyid != registry.keys[name].keyid}}


def put(registry: RegistryUnderTest, folder: Path, root: TrustRoot, signer: Signer | None = None) -> Path:
    path = folder / "trust-root.json"
    path.write_bytes(encode_envelope(sign_trust_root(root, signer or registry.keys["root"])))
    return path


def test_what_was_trusted_counts_no_more_and_the_log_says_since_when(
    registry: RegistryUnderTest, tmp_path: Path
) -> None:
    steps = Steps(registry)
    version = steps.submitted()
    path = put(registry, tmp_path, next_root(registry, **without(registry, "reviewer")))
    assert take_up(registry.app, path) == next_root(registry, **without(registry, "reviewer"))
    assert [event for event, _ in steps.events(registry.runtime.trust_root.log_origin)][-1] == "trust_root:changed"
    refused(steps.review(version), 422, "verification.signature")
    assert registry.client(None).get("/v1/trust-root").content.strip() == path.read_bytes()
    assert take_up(registry.app, path) is None


@pytest.mark.parametrize(
    ("changes", "signer", "error"),
    [
        ({}, "reviewer", TrustRootInvalid),
        ({"version": 0}, "root", ImprimaturError),
        ({"log_origin": "log.test/other"}, "root", ConfigurationError),
        ("log", "root", ConfigurationError),
    ],
    ids=["another-signer", "rolled-back", "another-log", "without-its-log-key"],
)
def test_what_is_no_successor_changes_nothing(
    registry: RegistryUnderTest, tmp_path: Path, changes: Any, signer: str, error: type[Exception]
) -> None:
    members = without(registry, changes) if isinstance(changes, str) else changes
    path = put(registry, tmp_path, next_root(registry, **members), registry.keys[signer])
    before = registry.client(None).get("/v1/trust-root").content
    with pytest.raises(error):
        take_up(registry.app, path)
    assert registry.client(None).get("/v1/trust-root").content == before
    accepted(Steps(registry).review(Steps(registry).submitted()))


def test_is_looked_for_while_the_registry_runs_and_a_fault_is_told_once(
    registry: RegistryUnderTest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(registry, tmp_path, next_root(registry), registry.keys["reviewer"])
    with caplog.at_level(logging.ERROR), kept_in_force(registry.app, path, seconds=0.01):
        until(lambda: bool(caplog.records))
        time.sleep(0.1)
        assert [record.message.split(":")[0] for record in caplog.records] == [
            f"the trust root at {path} is not taken up"
        ]
        put(registry, tmp_path, next_root(registry))
        until(lambda: registry.app.state.runtime.trust_root == next_root(registry))


def until(met: Any) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)
