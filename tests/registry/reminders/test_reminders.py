"""Tests of registry.reminders: each day that is near is told once, before it comes, to those whom it concerns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.command_line import CommandLine
from support.console import Browser
from support.governed import EVIDENCE, SALT, licence_grant
from support.registry import START, RegistryUnderTest
from support.versions import FOX, Steps, Submitted, accepted, assert_insert_only, refused

from registry.reminders.service import remind_all
from sdk.spec.api import NewConcept, Withdrawal
from sdk.spec.consent_events import ConsentAnswer, ConsentEvent, LifeEvent, LifeEventReport
from sdk.spec.erasure import ErasureRequest
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ConceptKind
from sdk.spec.terms import AgeClass, Capacity, Expression


def ending(steps: Steps, days: float) -> Any:
    return steps.terms(valid_until=steps.registry.clock.now + timedelta(days=days))


def approved(steps: Steps, *, consent_days: float = 40, licence_days: float = 100) -> Submitted:
    """An approved version with a consent and a licence that end in so many days."""
    steps.concept()
    consent = RecordId(steps.consent(FOX, terms=ending(steps, consent_days))["id"])
    licence = RecordId(steps.licence(FOX, terms=ending(steps, licence_days))["id"])
    return steps.approved(consents=(consent,), licences=(licence,))


def listed(steps: Steps, name: str = "owner") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = steps.get(name, "/v1/reminders")["reminders"]
    return found


class TestReminders:
    def test_come_once_thirty_days_before_a_term_ends_and_name_the_approval_that_ends_with_it(
        self, registry: RegistryUnderTest
    ) -> None:
        steps = Steps(registry)
        version = approved(steps)
        registry.clock.advance(days=9, hours=23)
        assert (remind_all(registry.runtime), listed(steps)) == (0, [])
        registry.clock.advance(hours=1)
        assert [remind_all(registry.runtime) for _ in range(2)] == [1, 0]
        (reminder,) = listed(steps)
        assert (reminder["record"], reminder["kind"]) == (version.consent, "consent-term")
        assert (reminder["versions"], reminder["over"]) == (["demo/fox@1"], False)
        assert_insert_only(registry, "reminders")

    def test_are_logged_without_the_day_and_without_saying_of_what(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = approved(steps, consent_days=20)
        remind_all(registry.runtime)
        (logged,) = steps.get("auditor", "/v1/log/entries?event=term:ending")["entries"]
        assert (logged["entry"]["subject"], logged["entry"]["actor"]) == (version.consent, "demo/registry")
        assert logged["entry"]["facts"] == {"versions": "demo/fox@1"}

    def test_come_for_licences_and_before_a_minor_comes_of_age(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.concept()
        licence = steps.licence(FOX, terms=ending(steps, 5))["id"]
        day = (registry.clock.now + timedelta(days=25)).date()
        child = {"age_class": AgeClass.MINOR, "expressed_as": Capacity.GUARDIAN, "expressed_on": START.date()}
        minor = steps.consent(FOX, of_age_on=day, **child)["id"]
        assert remind_all(registry.runtime) == 2
        found = {one["record"]: one for one in listed(steps)}
        assert found[licence]["kind"] == "licence-term"
        assert (found[minor]["kind"], found[minor]["due_at"][:16]) == ("of-age", "2026-06-25T10:00")

    def test_of_coming_of_age_come_though_a_guardian_confirmed_anew_before(self, registry: RegistryUnderTest) -> None:
        steps, today = Steps(registry), registry.clock.now.date()
        steps.concept()
        child = {"age_class": AgeClass.MINOR, "expressed_as": Capacity.GUARDIAN, "expressed_on": today}
        day = today + timedelta(days=25)
        consent = steps.consent(FOX, subject="subject-haru", of_age_on=day, **child)["id"]
        event = {"pseudonym": "subject-haru", "event": LifeEvent.GUARDIAN_CHANGED, "happened_on": today}
        accepted(
            steps.post("owner", "/v1/subjects/life-events", LifeEventReport(**event, evidence=EVIDENCE, salt=SALT))
        )
        said = {"expressed_by": "subject-haru", "expressed_as": Capacity.GUARDIAN, "expressed_on": today}
        answer = ConsentAnswer(
            answer=ConsentEvent.RECONFIRM, expressed_through=Expression.SIGNATURE, evidence=EVIDENCE, salt=SALT, **said
        )
        accepted(steps.post("owner", f"/v1/consents/{consent}/answers", answer))
        assert remind_all(registry.runtime) == 1
        assert [one["kind"] for one in listed(steps)] == ["of-age"]

    def test_of_one_tenant_do_not_wait_for_the_damaged_records_of_another(self, registry: RegistryUnderTest) -> None:
        steps, theirs = Steps(registry), ConceptId("other/fox")
        approved(steps, consent_days=5)
        accepted(steps.post("other-owner", "/v1/concepts", NewConcept(id=theirs, kind=ConceptKind.SUBJECT, title="x")))
        grant = licence_grant(theirs, terms=ending(steps, 5))
        accepted(steps.post("other-owner", "/v1/licences", grant))
        with registry.engine.begin() as connection:
            connection.execute(text("ALTER TABLE consents DISABLE TRIGGER insert_only"))
            connection.execute(text("UPDATE consents SET digest = 'sha256:' || lpad(md5(id), 64, '0')"))
        assert remind_all(registry.runtime) == 1
        assert [one["covers"] for one in listed(steps, "other-owner")] == [["other/fox"]]

    def test_lead_is_a_setting(self, registry: RegistryUnderTest) -> None:
        approved(Steps(registry), consent_days=40)
        longer = replace(registry.runtime, settings=replace(registry.runtime.settings, reminder_days=41))
        assert (remind_all(registry.runtime), remind_all(longer)) == (0, 1)

    def test_are_of_what_counts_only(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.concept()
        withdrawn = steps.consent(FOX, subject="subject-a", terms=ending(steps, 5))["id"]
        accepted(steps.post("owner", f"/v1/consents/{withdrawn}/withdrawal", Withdrawal(reason="asked to")))
        steps.consent(FOX, subject="subject-b", terms=ending(steps, 5))
        accepted(steps.post("owner", "/v1/erasures", ErasureRequest(subject="subject-b")))
        assert remind_all(registry.runtime) == 0

    def test_are_over_when_the_day_has_come_and_gone_when_the_person_is_erased(
        self, registry: RegistryUnderTest
    ) -> None:
        steps = Steps(registry)
        steps.concept()
        steps.consent(FOX, subject="subject-b", terms=ending(steps, 5))
        remind_all(registry.runtime)
        registry.clock.advance(days=5)
        assert [one["over"] for one in listed(steps)] == [True]
        accepted(steps.post("owner", "/v1/erasures", ErasureRequest(subject="subject-b")))
        assert listed(steps) == []

    def test_of_two_workers_at_once_are_made_once(self, registry: RegistryUnderTest) -> None:
        approved(Steps(registry), consent_days=5, licence_days=6)
        with ThreadPoolExecutor(4) as threads:
            made = list(threads.map(lambda _: remind_all(registry.runtime), range(4)))
        assert sorted(made) == [0, 0, 0, 2]


class TestReaders:
    def test_owners_and_reviewers_have_notices_and_applications_read_nothing(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        approved(steps, consent_days=20)
        remind_all(registry.runtime)
        for name in ("owner", "reviewer"):
            (notice,) = steps.get(name, "/v1/notices")["reminders"]
            assert notice["kind"] == "consent-term"
        assert steps.get("app", "/v1/notices")["reminders"] == []
        refused(registry.client("app").get("/v1/reminders"), 403, "auth.forbidden")

    def test_the_console_and_the_command_show_what_is_near(
        self,
        registry: RegistryUnderTest,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        steps = Steps(registry)
        approved(steps, consent_days=20)
        remind_all(registry.runtime)
        page = Browser(registry).signed_in("owner").get("/reminders").text
        assert "the term of a consent ends" in page
        assert "demo/fox@1" in page
        assert "同意の期間が終わる" in Browser(registry, language="ja").signed_in("reviewer").get("/reminders").text
        imprimatur = CommandLine(registry, monkeypatch, capsys, tmp_path)
        for command in ("reminders", "notices"):
            assert "2026-06-21 12:00" in imprimatur("owner", command)
        registry.clock.advance(days=20)
        assert imprimatur("owner", "reminders") == "Reminders: none\n"
        assert ", over" in imprimatur("owner", "reminders", "--all")
