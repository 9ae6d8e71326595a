"""Tests of what stood at a moment: statuses, aliases, consents, concepts; the past answers the same for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import text
from support.database import DatabaseServer
from support.registry import RegistryUnderTest, make_test_registry
from support.versions import FOX, Steps, accepted, assert_insert_only, refused

from registry.db import downgrade, upgrade
from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.ids import AliasName


def at(registry: RegistryUnderTest, ref: str, moment: datetime, name: str = "auditor") -> Any:
    return registry.client(name).get("/v1/history", params={"ref": ref, "at": moment.isoformat()})


def set_stable(registry: RegistryUnderTest, number: int) -> None:
    changes = (AliasChange(concept=FOX, alias=AliasName("stable"), number=number),)
    accepted(Steps(registry).post("owner", "/v1/aliases", AliasChanges(changes=changes)))


def later(registry: RegistryUnderTest) -> datetime:
    """An hour passes; returns the moment before."""
    moment = registry.clock.now
    registry.clock.advance(hours=1)
    return moment


class TestVersionAt:
    def test_follows_the_life_of_two_versions(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first = steps.submitted(embedding=b"1")
        submitted = later(registry)
        accepted(steps.review(first))
        set_stable(registry, 1)
        approved = later(registry)
        steps.approved(embedding=b"2")
        superseded = later(registry)
        withdrawn = accepted(steps.withdraw(first))
        later(registry)
        for moment, ref, number, status in (
            (submitted, "demo/fox@1", 1, "submitted"),
            (approved, "demo/fox@1", 1, "approved"),
            (approved, "demo/fox", 1, "approved"),
            (superseded, "demo/fox@1", 1, "superseded"),
            (superseded, "demo/fox@stable", 1, "superseded"),
            (superseded, "demo/fox", 2, "approved"),
        ):
            answer = accepted(at(registry, ref, moment))
            assert (answer["number"], answer["status"]) == (number, status), (moment, ref)
        then = accepted(at(registry, "demo/fox@stable", superseded))
        assert then["aliases"] == ["stable"]
        assert then["consents"] == {withdrawn["id"]: "given"}
        assert accepted(at(registry, "demo/fox@1", registry.clock.now))["consents"] == {withdrawn["id"]: "withdrawn"}

    def test_knows_nothing_of_what_came_later(self, registry: RegistryUnderTest) -> None:
        before = later(registry)
        Steps(registry).approved()
        set_stable(registry, 1)
        for ref in ("demo/fox", "demo/fox@1", "demo/fox@stable"):
            refused(at(registry, ref, before), 404, "resource.not_found")

    def test_a_term_that_was_over_was_over(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        registry.clock.advance(days=200)
        assert accepted(at(registry, "demo/fox@1", registry.clock.now - timedelta(days=150)))["status"] == "approved"
        assert accepted(at(registry, "demo/fox@1", registry.clock.now))["status"] == "expired"

    def test_reads_any_zone_and_refuses_a_time_without_one(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        later(registry)
        params = {"ref": "demo/fox", "at": "2026-06-01T21:30+09:00"}
        assert accepted(registry.client("auditor").get("/v1/history", params=params))["number"] == 1
        params["at"] = "2026-06-01T21:30"
        assert registry.client("auditor").get("/v1/history", params=params).status_code == 422

    def test_the_future_is_not_answered(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        tomorrow = registry.clock.now + timedelta(days=1)
        refused(at(registry, "demo/fox", tomorrow), 422, "input.invalid", "has not come yet")

    def test_another_tenant_finds_nothing(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        set_stable(registry, 1)
        for ref in ("demo/fox", "demo/fox@1", "demo/fox@stable"):
            refused(at(registry, ref, registry.clock.now, "other-auditor"), 404, "resource.not_found")


class TestConceptsAt:
    def test_tell_what_was_approved(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        before = later(registry)
        version = steps.approved()
        then = later(registry)
        steps.revoke(version)
        later(registry)

        def asked(path: str, moment: datetime) -> Any:
            return registry.client("auditor").get(path, params={"as_of": moment.isoformat()})

        assert accepted(asked("/v1/concepts", before))["concepts"] == []
        refused(asked("/v1/concepts/demo/fox", before), 404, "resource.not_found", "no concept demo/fox yet")
        assert [view["approved_number"] for view in accepted(asked("/v1/concepts", then))["concepts"]] == [1]
        assert accepted(asked("/v1/concepts/demo/fox", then))["approved_number"] == 1
        assert accepted(asked("/v1/concepts/demo/fox", registry.clock.now))["approved_number"] is None
        assert accepted(asked("/v1/aliases", then))["aliases"] == []


class TestHistoryOfStatuses:
    def test_is_insert_only(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        assert_insert_only(registry, "version_statuses")

    def test_a_database_of_before_gets_its_history_from_the_log(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url:
            with make_test_registry(url) as registry:
                steps = Steps(registry)
                steps.approved(embedding=b"1")
                steps.revoke(steps.approved(embedding=b"2"))
                with registry.engine.connect() as connection:
                    written = _histories(connection.execute(text(_STATUSES)).all())
            downgrade(url, "0009")
            upgrade(url)
            with psycopg.connect(url) as connection:
                filled = _histories(connection.execute(_STATUSES).fetchall())
        assert written == {1: ["submitted", "approved", "superseded"], 2: ["submitted", "approved", "revoked"]}
        for number, statuses in filled.items():
            assert [status for status in statuses if status != "in-review"] == written[number]


_STATUSES = "SELECT number, status, since FROM version_statuses ORDER BY number, place"


def _histories(rows: Any) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for number, status, since in rows:
        assert since.astimezone(UTC).year == 2026
        found.setdefault(number, []).append(status)
    return found
