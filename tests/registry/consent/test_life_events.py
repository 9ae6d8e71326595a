"""Tests of what happens to a consent after it was given, and to what rests on it: life events, answers, reinstatement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from support.governed import SALT, consent_record
from support.life import CHILD, HARU, OF_AGE, SHRINE, Life, answer, report
from support.registry import START, RegistryUnderTest
from support.versions import FOX, Steps, accepted, assert_insert_only, refused, rules_of

from registry.consent.answers import rows_of
from registry.personal import ERASED
from sdk.consent_receipt import verify_consent_receipt
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.api import Withdrawal
from sdk.spec.canonical import encode_canonical
from sdk.spec.consent_events import (
    ConsentEvent,
    ConsentEventView,
    ConsentReceipt,
    LifeEvent,
)
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureRequest
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.recorded import ConsentPredicate
from sdk.spec.statements import parse_predicate, parse_statement
from sdk.spec.terms import Capacity


class TestLifeEvent:
    def test_makes_consents_fall_due_and_suspends_what_rests_on_them(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        other = life.steps.approved(SHRINE, embedding=b"s")
        told = accepted(life.happens())
        assert (told["consents"], told["suspended"]) == ([life.consent], [life.version.name])
        assert life.status() == ("reconfirmation-due", "suspended")
        assert life.steps.get("owner", other.path)["status"] == "approved"
        assert life.steps.events(life.consent)[-1] == ("consent:asked", "demo/owner")
        assert life.steps.events(life.version.name)[-1] == ("version:suspended", "demo/owner")

    def test_refuses_uses_until_it_is_answered(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        problem = refused(life.steps.compose(life.version), 403, "policy.denied")
        assert rules_of(problem) == ["composition.approved-only", "composition.consent"]

    def test_ends_the_bindings_of_who_speaks_no_more(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        life.bind(Capacity.AGENT)
        assert accepted(life.happens(LifeEvent.AGENT_CHANGED))["released"] == ["demo/subject"]
        assert life.steps.get("subject", "/v1/consents")["consents"] == []

    def test_is_reported_by_who_may_with_a_day_that_has_come(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        life.bind(Capacity.SELF)
        refused(life.happens(name="subject"), 403, "auth.forbidden")
        refused(life.happens(name="app"), 403, "auth.forbidden")
        tomorrow = START.date() + timedelta(days=1)
        refused(life.happens(happened_on=tomorrow), 422, "input.invalid", "has not come")
        refused(life.happens(pseudonym="nobody"), 404, "resource.not_found")
        assert life.status() == ("given", "approved")

    def test_says_in_the_log_neither_what_nor_to_whom(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        page = registry.client("auditor").get("/v1/log/entries", params={"limit": 1000}).text
        assert (HARU in page, "died" in page) == (False, False)

    def test_that_leaves_nobody_to_confirm_is_refused(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens(LifeEvent.OF_AGE))
        refused(life.happens(LifeEvent.GUARDIAN_CHANGED), 422, "input.invalid", "leaves nobody")


class TestAnswer:
    def test_that_was_given_before_what_it_answers_confirms_nothing(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        early = answer(expressed_on=START.date() - timedelta(days=1))
        refused(life.answers(early), 422, "input.invalid", "before died on")
        assert life.status() == ("reconfirmation-due", "suspended")

    def test_confirms_and_a_review_reinstates(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        accepted(life.answers(answer()))
        assert life.status() == ("given", "suspended")
        back = accepted(life.reinstated())
        assert [view["status"] for view in back["versions"]] == ["approved"]
        assert life.steps.events(life.version.name)[-1] == ("version:reinstated", "demo/reviewer")
        accepted(life.steps.compose(life.version))

    def test_refuses_for_good(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        accepted(life.answers(answer(event=ConsentEvent.REFUSE)))
        assert life.status() == ("refused", "suspended")
        refused(life.answers(answer()), 409, "resource.conflict", "nothing more")
        refused(life.reinstated(), 403, "policy.denied")

    @pytest.mark.parametrize("capacity", [Capacity.SELF, Capacity.GUARDIAN, Capacity.AGENT])
    def test_after_a_death_only_the_estate_confirms(self, registry: RegistryUnderTest, capacity: Capacity) -> None:
        life = Life(registry)
        accepted(life.happens())
        refused(life.answers(answer(capacity)), 403, "auth.forbidden", "as estate, not as")
        assert life.status() == ("reconfirmation-due", "suspended")

    def test_of_a_subject_needs_no_document_and_of_an_owner_does(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens(LifeEvent.AGENT_CHANGED))
        bare = answer(Capacity.SELF, evidence=None)
        refused(life.answers(bare), 422, "input.invalid", "evidence is missing")
        refused(life.answers(bare, "subject"), 404, "resource.not_found")
        life.bind(Capacity.AGENT)
        refused(life.answers(bare, "subject"), 403, "auth.forbidden", "does not speak for this person as self")
        accepted(life.answers(answer(Capacity.AGENT, evidence=None), "subject"))
        assert life.steps.events(life.consent)[-1] == ("consent:reconfirmed", "demo/subject")

    def test_is_not_of_a_day_to_come(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        late = answer(expressed_on=START.date() + timedelta(days=1))
        refused(life.answers(late), 422, "input.invalid", "has not come")

    def test_does_not_revive_what_has_expired(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        registry.clock.advance(days=100)
        refused(life.answers(answer(Capacity.SELF)), 409, "resource.conflict", "is expired")

    def test_withdrawing_is_open_while_it_is_due(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        accepted(life.steps.post("owner", f"/v1/consents/{life.consent}/withdrawal", Withdrawal(reason="no more")))
        assert life.status() == ("withdrawn", "suspended")


class TestComingOfAge:
    def test_suspends_by_the_clock_alone(self, registry: RegistryUnderTest) -> None:
        life = Life(registry, **CHILD)
        assert life.status() == ("given", "approved")
        registry.clock.advance(days=20)
        assert life.status() == ("reconfirmation-due", "suspended")
        refused(life.steps.compose(life.version), 403, "policy.denied")

    def test_once_confirmed_by_the_adult_a_review_brings_versions_back(self, registry: RegistryUnderTest) -> None:
        life = Life(registry, **CHILD)
        registry.clock.advance(days=20)
        refused(life.answers(answer(Capacity.GUARDIAN, expressed_on=OF_AGE)), 403, "auth.forbidden", "agent or self")
        accepted(life.answers(answer(Capacity.SELF, expressed_on=OF_AGE)))
        assert life.status() == ("given", "suspended"), "what the clock suspended stays so until it is reviewed"
        accepted(life.reinstated())
        assert life.status() == ("given", "approved")
        assert [event for event, _ in life.steps.events(life.consent)] == [
            "consent:given",
            "consent:asked",
            "consent:reconfirmed",
        ]

    def test_a_minor_needs_the_day_on_which_they_come_of_age(self, registry: RegistryUnderTest) -> None:
        record = registry.client("owner").post("/v1/consents", json=_child_without_a_day(Steps(registry)))
        refused(record, 422, "input.invalid", "of_age_on is missing")


def _child_without_a_day(steps: Steps) -> dict[str, Any]:
    record = consent_record(terms=steps.terms(), salt=SALT, **CHILD | {"of_age_on": None})
    return record.model_dump(mode="json", exclude_none=True)


def test_report_and_answer_need_a_salt(registry: RegistryUnderTest) -> None:
    life = Life(registry)
    refused(life.happens(salt=None), 422, "input.invalid", "salt is missing")
    accepted(life.happens())
    refused(life.answers(answer(salt=None)), 422, "input.invalid", "salt is missing")


class TestReinstatement:
    @pytest.mark.parametrize("name", ["owner", "trainer", "app", "auditor"])
    def test_is_a_reviewers(self, registry: RegistryUnderTest, name: str) -> None:
        life = Life(registry)
        accepted(life.happens())
        accepted(life.answers(answer()))
        refused(life.reinstated(name), 403, "policy.denied")
        assert life.status() == ("given", "suspended")
        assert life.steps.events(life.version.name)[-1] == ("approval:refused", f"demo/{name}")

    def test_waits_for_every_consent_of_the_version(self, registry: RegistryUnderTest) -> None:
        life = Life(registry, covers=(FOX, SHRINE))
        steps = life.steps
        second = RecordId(steps.consent(SHRINE, subject="subject-2")["id"])
        version = steps.approved(SHRINE, embedding=b"s", consents=(life.consent, second))
        accepted(life.happens())
        accepted(steps.post("owner", "/v1/subjects/life-events", report(pseudonym="subject-2")))
        accepted(life.answers(answer()))
        refused(life.reinstated(), 403, "policy.denied")
        assert steps.get("owner", version.path)["status"] == "suspended"

    def test_of_nothing_is_not_found(self, registry: RegistryUnderTest) -> None:
        refused(Life(registry).reinstated(), 404, "resource.not_found")


class TestReceipt:
    def test_tells_the_whole_story_with_its_proofs(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        life.bind(Capacity.ESTATE)
        registry.clock.advance(days=1)
        accepted(life.happens())
        accepted(life.answers(answer(evidence=None), "subject"))
        accepted(life.steps.post("subject", f"/v1/consents/{life.consent}/withdrawal", Withdrawal(reason="no more")))
        received = ConsentReceipt.model_validate(life.steps.get("subject", f"/v1/consents/{life.consent}/receipt"))
        assert verify_consent_receipt(received, registry.runtime.trust_root).id == life.consent
        told = [(event.event.value, event.status.value, event.recorded_by) for event in received.events]
        assert told == [
            ("give", "given", "demo/owner"),
            ("ask", "reconfirmation-due", "demo/owner"),
            ("re-confirm", "given", "demo/subject"),
            ("withdraw", "withdrawn", "demo/subject"),
        ]
        assert received.events[-1].reason == "no more"
        stated = [self.stated(event, registry.runtime.trust_root) for event in received.events]
        assert [(each.consent, each.event.value, each.recorded_by) for each in stated] == [
            (life.consent, event, by) for event, _, by in told
        ]
        assert stated[2].act == Digest.of(encode_canonical(received.events[2].answer))

    def stated(self, event: ConsentEventView, trust: TrustRoot) -> ConsentPredicate:
        assert event.statement
        verify_role(event.statement, trust, TrustRole.DECISION)
        statement = parse_statement(event.statement.payload, event.statement.payload_type)
        return parse_predicate(statement, ConsentPredicate)

    def test_tells_what_the_clock_brought(self, registry: RegistryUnderTest) -> None:
        life = Life(registry, **CHILD)
        registry.clock.advance(days=100)
        received = ConsentReceipt.model_validate(life.steps.get("owner", f"/v1/consents/{life.consent}/receipt"))
        assert [(event.event.value, event.recorded_by) for event in received.events[1:]] == [
            ("ask", None),
            ("expire", None),
        ]
        assert received.status.value == "expired"

    def test_is_a_file_to_keep(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        headers = registry.client("owner").get(f"/v1/consents/{life.consent}/receipt").headers
        assert headers["Content-Disposition"] == f'attachment; filename="{life.consent}.json"'


class TestAsOf:
    def test_a_consent_stood_then_as_it_did(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        moments = [registry.clock.now]
        acts: tuple[Callable[[], Any], ...] = (life.happens, lambda: life.answers(answer()))
        for act in acts:
            registry.clock.advance(days=1)
            accepted(act())
            moments.append(registry.clock.now)
        registry.clock.advance(days=1)
        accepted(life.steps.post("owner", f"/v1/consents/{life.consent}/withdrawal", Withdrawal(reason="no more")))
        moments.append(registry.clock.now)
        path = f"/v1/consents/{life.consent}?as_of="
        stood = [life.steps.get("owner", path + _moment(moment))["status"] for moment in moments]
        assert stood == ["given", "reconfirmation-due", "given", "withdrawn"]
        listed = life.steps.get("owner", f"/v1/consents?as_of={_moment(moments[1])}&status=reconfirmation-due")
        assert [held["id"] for held in listed["consents"]] == [life.consent]
        history = life.steps.get("owner", f"/v1/history?ref=demo/fox@1&at={_moment(moments[1])}")
        assert (history["status"], history["consents"]) == ("suspended", {life.consent: "reconfirmation-due"})

    def test_before_it_was_given_there_was_none(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        before = _moment(START - timedelta(days=1))
        refused(registry.client("owner").get(f"/v1/consents/{life.consent}?as_of={before}"), 404, "resource.not_found")
        assert life.steps.get("owner", f"/v1/consents?as_of={before}")["consents"] == []

    def test_a_moment_to_come_is_refused(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        later = _moment(START + timedelta(days=1))
        for path in (f"/v1/consents/{life.consent}", "/v1/consents"):
            refused(registry.client("owner").get(f"{path}?as_of={later}"), 422, "input.invalid", "has not come yet")


def _moment(moment: Any) -> str:
    return str(moment.isoformat()).replace("+00:00", "Z")


class TestEvidence:
    def test_rows_are_never_changed_or_removed(self, registry: RegistryUnderTest) -> None:
        accepted(Life(registry).happens())
        assert_insert_only(registry, "consent_events")

    def test_are_ciphertext_and_erased_with_the_person(self, registry: RegistryUnderTest) -> None:
        life = Life(registry)
        accepted(life.happens())
        accepted(life.answers(answer(event=ConsentEvent.REFUSE, expressed_by="an heir's own hand")))
        with registry.engine.connect() as connection:
            stored = connection.execute(text("SELECT string_agg(content, '') FROM consent_events")).scalar_one()
        assert b"an heir's own hand" not in bytes(stored)
        accepted(life.steps.post("owner", "/v1/erasures", ErasureRequest(subject=HARU)))
        with registry.runtime.transaction(TenantName("demo")) as session:
            assert [row.content for row in rows_of(session, life.consent)] == [ERASED, ERASED]
        gone = registry.client("owner").get(f"/v1/consents/{life.consent}/receipt")
        assert gone.json()["code"] == "resource.erased"
