"""Status lists as the registry serves them: true at once, signed seldom, the same for all, never going back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from support.registry import RegistryUnderTest
from support.versions import Steps, accepted, refused

from registry.status import service
from sdk.signing.status import verify_status_list
from sdk.spec.ids import ConceptId, TenantName
from sdk.spec.status_list import StatusList, StatusPurpose

DEN = ConceptId("demo/den")


def fetched(registry: RegistryUnderTest, path: str = "/v1/status/demo/0") -> StatusList:
    answer = registry.client(None).get(path)
    assert answer.status_code == 200, answer.text
    return verify_status_list(answer.content, registry.runtime.trust_root)


def entry_of(steps: Steps, name: str) -> int:
    return int(steps.get("auditor", f"/v1/log/entries?event=version:submitted&subject={name}")["entries"][0]["index"])


class TestStatusList:
    def test_follows_a_version_through_its_life(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first = steps.submitted(embedding=b"1")
        entry = entry_of(steps, first.name)
        assert fetched(registry).raised(entry) == (StatusPurpose.MESSAGE,)
        accepted(steps.review(first))
        assert fetched(registry).raised(entry) == ()
        steps.approved(embedding=b"2")
        assert fetched(registry).raised(entry) == (StatusPurpose.REFRESH,)

    def test_tells_a_withdrawal_and_a_revocation_at_once(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        entry = entry_of(steps, version.name)
        assert fetched(registry).raised(entry) == ()
        accepted(steps.withdraw(version))
        assert fetched(registry).raised(entry) == (StatusPurpose.SUSPENSION,)
        accepted(steps.revoke(version))
        assert fetched(registry).raised(entry) == (StatusPurpose.REVOCATION,)

    def test_needs_no_credential_and_may_be_cached_for_a_quarter_of_its_life(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        answer = registry.client(None).get("/v1/status/demo/0")
        assert answer.headers["content-type"] == "application/vc+jwt"
        assert answer.headers["cache-control"] == "public, max-age=15"
        listed = verify_status_list(answer.content, registry.runtime.trust_root)
        assert listed.valid_until - listed.valid_from == timedelta(seconds=60)
        assert listed.id == f"urn:imprimatur:status-list:{registry.runtime.trust_root.log_origin}:demo:0"

    @pytest.mark.parametrize("path", ["/v1/status/demo/1", "/v1/status/nobody/0", "/v1/status/other/0"])
    def test_is_not_there_where_nothing_was_submitted(self, registry: RegistryUnderTest, path: str) -> None:
        Steps(registry).approved()
        refused(registry.client(None).get(path), 404, "resource.not_found")


class TestSigning:
    def test_happens_once_for_half_of_the_life_and_then_anew(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Steps(registry).approved()
        times = []
        sign = service.sign_status_list
        monkeypatch.setattr(service, "sign_status_list", lambda *a: times.append(1) or sign(*a))
        contents = set()
        for _ in range(5):
            contents.add(registry.client(None).get("/v1/status/demo/0").content)
            registry.clock.advance(seconds=5)
        assert (len(contents), len(times)) == (1, 1)
        registry.clock.advance(seconds=5)  # half a minute
        later = registry.client(None).get("/v1/status/demo/0").content
        assert later not in contents
        assert len(times) == 2

    def test_never_goes_back_in_time_whatever_the_clock_does(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        before = fetched(registry)
        registry.clock.advance(seconds=-8)  # another process, whose clock is behind
        accepted(steps.revoke(version))
        after = fetched(registry)
        assert after.valid_from > before.valid_from
        assert after.raised(entry_of(steps, version.name)) == (StatusPurpose.REVOCATION,)

    def test_is_done_once_by_many_at_the_same_moment(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()

        def ask(_: int) -> bytes:
            with registry.runtime.transaction(TenantName("demo")) as session:
                return service.signed_list(session, registry.runtime, TenantName("demo"), 0)

        with ThreadPoolExecutor(max_workers=8) as threads:
            assert len(set(threads.map(ask, range(24)))) == 1

    def test_covers_every_concept_of_the_tenant_in_one_list(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, den = steps.approved(), steps.approved(DEN, embedding=b"den")
        accepted(steps.revoke(den))
        listed = fetched(registry)
        assert listed.raised(entry_of(steps, fox.name)) == ()
        assert listed.raised(entry_of(steps, den.name)) == (StatusPurpose.REVOCATION,)

    def test_lasts_as_long_as_the_settings_say(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        runtime = replace(registry.runtime, settings=replace(registry.runtime.settings, status_ttl_seconds=7))
        with runtime.transaction(TenantName("demo")) as session:
            listed = verify_status_list(
                service.signed_list(session, runtime, TenantName("demo"), 0), runtime.trust_root
            )
        assert listed.valid_until - listed.valid_from == timedelta(seconds=7)
