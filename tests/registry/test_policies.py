"""Which policies were in force at a moment: noted when a registry starts to decide by others, and never rewritten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.at_once import one_after_the_other
from support.registry import POLICIES, START, RegistryUnderTest
from support.versions import FOX, Steps, accepted, assert_insert_only, refused

from registry.issuance import log_what_is_in_force
from registry.runtime import Runtime
from sdk.errors import InputError
from sdk.policy.bundle import PolicyBundle, load_bundle, parse_bundle, write_bundle
from sdk.policy.cedar import CedarEngine
from sdk.spec.api import PolicyBundleView
from sdk.spec.digest import Digest


def stricter(runtime: Runtime, words: str = "a comment") -> Runtime:
    files = dict(runtime.policy_bundle.files)
    files["approval/rules.cedar"] += f"\n// {words}\n"
    bundle = PolicyBundle(files=files)
    return replace(runtime, policy_bundle=bundle, policy=CedarEngine(bundle))


def note(registry: RegistryUnderTest, runtime: Runtime) -> bool:
    with registry.runtime.transaction() as session:
        return bool(log_what_is_in_force(session, runtime))


def at(registry: RegistryUnderTest, moment: datetime, name: str = "app") -> Any:
    return registry.client(name).get("/v1/policies", params={"as_of": moment.isoformat()})


class TestPoliciesAt:
    def test_tell_which_bundle_was_in_force_with_its_files(self, registry: RegistryUnderTest) -> None:
        first, second = registry.runtime, stricter(registry.runtime)
        registry.clock.advance(days=1)
        assert note(registry, second)
        registry.clock.advance(days=1)
        assert note(registry, first), "going back is a change as well"
        registry.clock.advance(days=1)
        for days, runtime in ((0, first), (0.9, first), (1, second), (1.9, second), (2, first), (3, first)):
            view = PolicyBundleView.model_validate(accepted(at(registry, START + timedelta(days=days))))
            assert parse_bundle(view) == runtime.policy_bundle, days
        assert view.since == START + timedelta(days=2)
        entry = accepted(registry.client("auditor").get("/v1/log/entries", params={"event": "policy:changed"}))
        assert [e["index"] for e in entry["entries"]][-1] == view.log_index
        assert entry["entries"][-1]["entry"]["evidence"] == {"policy_bundle": first.policy_bundle.digest}
        assert_insert_only(registry, "policy_bundles")

    def test_are_found_by_the_digest_that_decisions_name(self, registry: RegistryUnderTest) -> None:
        first, second = registry.runtime.policy_bundle, stricter(registry.runtime)
        registry.clock.advance(days=1)
        assert note(registry, second)
        for bundle in (first, second.policy_bundle):
            answer = registry.client("app").get("/v1/policies", params={"digest": bundle.digest})
            assert parse_bundle(PolicyBundleView.model_validate(accepted(answer))) == bundle
        unknown = registry.client("app").get("/v1/policies", params={"digest": Digest.of(b"x")})
        refused(unknown, 404, "resource.not_found", "ever in force")
        both = {"digest": first.digest, "as_of": START.isoformat()}
        refused(registry.client("app").get("/v1/policies", params=both), 422, "input.invalid", "one of the two")

    def test_the_same_again_is_no_change(self, registry: RegistryUnderTest) -> None:
        assert not note(registry, registry.runtime)

    def test_two_services_that_start_together_note_one_change(self, registry: RegistryUnderTest) -> None:
        changed = stricter(registry.runtime)

        def start(session: Any) -> bool:
            return bool(log_what_is_in_force(session, changed))

        assert one_after_the_other(registry, start, start) is False

    def test_neither_the_future_nor_the_time_before_is_answered(self, registry: RegistryUnderTest) -> None:
        refused(at(registry, START + timedelta(seconds=1)), 422, "input.invalid", "has not come yet")
        refused(at(registry, START - timedelta(seconds=1)), 404, "resource.not_found", "no policies are recorded")

    def test_a_clock_that_was_set_back_changes_no_order(self, registry: RegistryUnderTest) -> None:
        changed = stricter(registry.runtime)
        registry.clock.advance(days=-1)
        assert note(registry, changed)
        registry.clock.advance(days=1)
        assert accepted(at(registry, START))["digest"] == changed.policy_bundle.digest

    def test_stand_in_the_answer_about_a_version(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        registry.clock.advance(hours=1)
        params = {"ref": f"{FOX}@1", "at": START.isoformat()}
        then = accepted(registry.client("auditor").get("/v1/history", params=params))
        assert then["policies"] == registry.runtime.policy_bundle.digest


class TestWriteBundle:
    def test_gives_the_same_bundle_back(self, tmp_path: Path) -> None:
        bundle = load_bundle(POLICIES)
        write_bundle(bundle, tmp_path / "then")
        assert load_bundle(tmp_path / "then") == bundle

    def test_into_a_new_folder_only(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is there already"):
            write_bundle(load_bundle(POLICIES), tmp_path)

    @pytest.mark.parametrize("name", ["../outside.cedar", "/outside.cedar"])
    def test_never_outside_it(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError, match="lies outside"):
            write_bundle(PolicyBundle(files={name: ""}), tmp_path / "new")
        assert not (tmp_path / "outside.cedar").exists()
