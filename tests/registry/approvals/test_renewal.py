"""Tests of registry.approvals.renewal and registry.versions.renewal: other terms for a version that is not trained again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from support.at_once import one_after_the_other
from support.registry import BASE_URL, RegistryUnderTest
from support.renewal import LATER_DAYS, TERM_DAYS, asked, bundle_of, new_records, renewed, verified
from support.versions import (
    FOX,
    INTENDED_USE,
    Steps,
    Submitted,
    accepted,
    assert_insert_only,
    caller,
    refused,
    rules_of,
)

from registry.approvals.renewal import Outcome, review
from registry.reminders.service import remind_all
from registry.versions import service as versions
from registry.versions.renewal import ask
from registry.versions.withdrawal import withdraw_consent
from sdk.client import Client
from sdk.errors import NotApproved
from sdk.explain.explanation import explain
from sdk.spec.api import Withdrawal
from sdk.spec.consent_events import ConsentAnswer, ConsentEvent, LifeEvent, LifeEventReport
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ConceptKind
from sdk.spec.renewal import RenewalRequest
from sdk.spec.terms import AgeClass, Capacity, Evidence, Expression


@pytest.fixture
def steps(registry: RegistryUnderTest) -> Steps:
    return Steps(registry)


@pytest.fixture
def fox(steps: Steps) -> Submitted:
    return steps.approved()


class TestRenews:
    def test_a_version_whose_term_is_over(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        registry.clock.advance(days=TERM_DAYS)
        assert steps.get("app", fox.path)["status"] == "expired"
        refused(steps.compose(fox), 403, "policy.denied")
        view = renewed(steps, fox)
        assert (view["status"], view["since"][:10]) == ("approved", registry.clock.now.isoformat()[:10])
        assert steps.get("app", fox.path)["status"] == "approved"
        verified(registry, bundle_of(registry, fox))
        accepted(steps.compose(fox))

    def test_nothing_before_the_reviewers_have_approved_it(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted
    ) -> None:
        assert asked(steps, fox)["status"] == "waiting"
        before = bundle_of(registry, fox)
        assert before.renewal is None
        verified(registry, before)
        registry.clock.advance(days=TERM_DAYS)
        assert steps.get("app", fox.path)["status"] == "expired"

    def test_a_bundle_from_before_it_proves_nothing_any_more(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted
    ) -> None:
        before = bundle_of(registry, fox)
        verified(registry, before)
        renewed(steps, fox)
        with pytest.raises(NotApproved, match="if its terms were renewed, resolve it again"):
            verified(registry, before)
        after = bundle_of(registry, fox)
        assert verified(registry, after).approvers == ("demo/reviewer",)
        registry.clock.advance(seconds=10)
        renewed(steps, fox, expressed_by="subject-0001 again")
        with pytest.raises(NotApproved, match="resolve it again"):
            verified(registry, after)
        verified(registry, bundle_of(registry, fox))

    def test_from_the_day_on_which_the_new_terms_begin(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted
    ) -> None:
        renewed(steps, fox, begins=TERM_DAYS)
        first = bundle_of(registry, fox)
        assert first.renewal is None
        verified(registry, first)
        registry.clock.advance(days=TERM_DAYS)
        assert steps.get("app", fox.path)["status"] == "approved"
        verified(registry, bundle_of(registry, fox))
        with pytest.raises(NotApproved, match="resolve it again"):
            verified(registry, first)

    def test_what_a_withdrawal_had_suspended(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        accepted(steps.withdraw(fox))
        later = new_records(steps, fox, begins=3, expressed_by="later")
        refused(steps.renewal(fox, **later), 409, "resource.conflict", "renew it then")
        renewed(steps, fox)
        assert steps.get("app", fox.path)["status"] == "approved"
        verified(registry, bundle_of(registry, fox))

    def test_what_a_life_event_had_suspended(self, registry: RegistryUnderTest, steps: Steps) -> None:
        person = {"age_class": AgeClass.MINOR, "of_age_on": date(2027, 1, 1), "expressed_as": Capacity.GUARDIAN}
        consent = steps.consent(FOX, **person)["id"]
        fox = steps.approved(consents=(consent,))
        report = LifeEventReport(
            pseudonym="subject-0001",
            event=LifeEvent.GUARDIAN_CHANGED,
            happened_on=registry.clock.now.date(),
            evidence=Evidence(document=Digest.of(b"court"), page=1, clause="1"),
            salt="00" * 16,
        )
        told = accepted(steps.post("owner", "/v1/subjects/life-events", report))
        assert told["suspended"] == ["demo/fox@1"]
        terms = asked(steps, fox, **person, expressed_by="guardian-2")["terms"]
        accepted(steps.review_renewal(fox, terms))
        accepted(steps.review_renewal(fox, terms, "second-reviewer"))
        assert steps.get("app", fox.path)["status"] == "approved"
        verified(registry, bundle_of(registry, fox))
        answer = ConsentAnswer(
            answer=ConsentEvent.RECONFIRM,
            expressed_by="guardian-2",
            expressed_as=Capacity.GUARDIAN,
            expressed_on=registry.clock.now.date(),
            expressed_through=Expression.SIGNATURE,
            evidence=Evidence(document=Digest.of(b"letter"), page=1, clause="1"),
            salt="00" * 16,
        )
        accepted(
            steps.post("owner", f"/v1/consents/{consent}/answers", answer)
        )  # it does not rest on that one any more
        assert steps.get("app", fox.path)["status"] == "approved"

    def test_with_as_many_reviewers_as_the_version_needs(self, registry: RegistryUnderTest, steps: Steps) -> None:
        uses = {"intended_uses": (INTENDED_USE,)}
        person = steps.approved(kind=ConceptKind.PERSON)
        terms = asked(steps, person, **uses)["terms"]
        first = accepted(steps.review_renewal(person, terms))
        assert (first["status"], first["approvals"], first["approvals_required"]) == ("waiting", 1, 2)
        assert bundle_of(registry, person).renewal is None
        second = accepted(steps.review_renewal(person, terms, "second-reviewer"))
        assert second["status"] == "approved"
        assert verified(registry, bundle_of(registry, person)).approvers == ("demo/reviewer", "demo/second-reviewer")

    def test_and_the_log_tells_it(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        renewed(steps, fox)
        assert steps.events(fox.name)[-3:] == [
            ("renewal:requested", "demo/owner"),
            ("renewal:signed", "demo/reviewer"),
            ("version:renewed", "demo/reviewer"),
        ]
        for table in ("renewals", "renewal_reviews", "renewed_terms"):
            assert_insert_only(registry, table)

    def test_and_the_past_keeps_both(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        before = registry.clock.now
        registry.clock.advance(days=TERM_DAYS)
        expired = registry.clock.now
        registry.clock.advance(days=1)
        view = renewed(steps, fox)
        for at, status, licences in (
            (before, "approved", list(fox.manifest.licences)),
            (expired, "expired", list(fox.manifest.licences)),
            (registry.clock.now, "approved", view["licences"]),
        ):
            stood = accepted(registry.client("auditor").get("/v1/history", params={"ref": "demo/fox@1", "at": at}))
            assert (stood["status"], stood["licences"]) == (status, licences)
            assert list(stood["consents"]) == (view["consents"] if at == registry.clock.now else [fox.consent])

    def test_and_what_was_generated_before_is_traced_to_what_held_then(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted
    ) -> None:
        first = accepted(steps.compose(fox))["id"]
        registry.clock.advance(days=1)
        view = renewed(steps, fox)
        registry.clock.advance(days=1)
        second = accepted(steps.compose(fox, key="l" * 16))["id"]
        auditor = Client(BASE_URL, registry.credentials["auditor"], transport=registry.transport)
        traced = [
            explain(auditor, registry.runtime.trust_root, generation).versions[0] for generation in (first, second)
        ]
        assert [[record.id for record in one.consents] for one in traced] == [[fox.consent], view["consents"]]
        assert [[record.id for record in one.licences] for one in traced] == [
            list(fox.manifest.licences),
            view["licences"],
        ]
        assert traced[0].approvals[0].log_index < view["log_index"] < traced[1].approvals[0].log_index

    def test_and_no_terms_are_told_of_a_moment_to_come(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted
    ) -> None:
        later = registry.clock.now + timedelta(seconds=1)
        answer = registry.client("auditor").get(fox.path, params={"terms_at": later.isoformat()})
        refused(answer, 422, "input.invalid", "has not come yet")

    @pytest.mark.parametrize("which", ["the one before", "the one that holds", "the one that will hold"])
    def test_and_a_withdrawal_of_either_consent_suspends_it(self, steps: Steps, fox: Submitted, which: str) -> None:
        view = renewed(steps, fox, begins=TERM_DAYS if which == "the one that will hold" else 0)
        consent = fox.consent if which == "the one before" else view["consents"][0]
        accepted(steps.post("owner", f"/v1/consents/{consent}/withdrawal", Withdrawal(reason="no")))
        assert steps.get("app", fox.path)["status"] == "suspended"

    def test_and_reminders_name_it_no_more(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        renewed(steps, fox, begins=TERM_DAYS)
        registry.clock.advance(days=TERM_DAYS - 1)
        assert remind_all(registry.runtime)
        told = steps.get("owner", "/v1/reminders")["reminders"]
        assert told
        assert [one["versions"] for one in told] == [[]] * len(told)


class TestReads:
    def test_what_waits_as_reviewers_verify_it(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        view = asked(steps, fox)
        shown = bundle_of(registry, fox, "/renewal")
        assert [consent.id for consent in shown.consents] == view["consents"]
        assert shown.renewal
        assert shown.renewal.renewed is None
        with pytest.raises(NotApproved, match="terms that wait for reviewers"):
            verified(registry, shown)
        assert steps.get("reviewer", "/v1/renewals")["renewals"] == [view]
        accepted(steps.review_renewal(fox, view["terms"]))
        assert steps.get("reviewer", "/v1/renewals")["renewals"] == []
        refused(registry.client("reviewer").get(f"{fox.path}/renewal"), 404, "resource.not_found", "no renewal")

    def test_every_round(self, steps: Steps, fox: Submitted) -> None:
        asked(steps, fox)
        second = asked(steps, fox, expressed_by="again")
        accepted(steps.review_renewal(fox, second["terms"], reject=True))
        asked(steps, fox, expressed_by="a third time")
        page = steps.get("auditor", f"{fox.path}/renewals?limit=2")
        assert [(one["round"], one["status"]) for one in page["renewals"]] == [(1, "replaced"), (2, "rejected")]
        page = steps.get("auditor", f"{fox.path}/renewals?cursor={page['next_cursor']}")
        assert [(one["round"], one["status"]) for one in page["renewals"]] == [(3, "waiting")]
        assert [one["round"] for one in steps.get("auditor", "/v1/renewals")["renewals"]] == [3]
        accepted(steps.revoke(fox))
        assert steps.get("auditor", f"{fox.path}/renewals")["renewals"][2]["status"] == "lapsed"
        assert steps.get("auditor", "/v1/renewals")["renewals"] == []


class TestRefusesToAsk:
    def test_for_what_one_neither_owns_nor_had_trained(self, steps: Steps, fox: Submitted) -> None:
        refused(steps.renewal(fox, "app", **new_records(steps, fox)), 403, "auth.forbidden", "demo/app is neither")

    def test_for_what_was_never_approved_or_has_ended(self, steps: Steps) -> None:
        fox = steps.submitted()
        refused(steps.renewal(fox, **new_records(steps, fox)), 409, "resource.conflict", "is submitted")
        accepted(steps.review(fox))
        accepted(steps.revoke(fox))
        refused(steps.renewal(fox, **new_records(steps, fox)), 409, "resource.conflict", "is revoked")

    def test_for_the_records_that_hold(self, steps: Steps, fox: Submitted) -> None:
        refused(steps.renewal(fox), 409, "resource.conflict", "these very records already")

    def test_under_a_consent_of_somebody_else(self, steps: Steps) -> None:
        person = {"age_class": AgeClass.ADULT, "subject": "subject-0002"}
        fox = steps.approved(consents=(steps.consent(FOX, **person)["id"],))
        for other in ({"subject": "subject-0003"}, {"age_class": AgeClass.NOT_A_PERSON}, {"subject": "subject-0002"}):
            answer = steps.renewal(fox, **new_records(steps, fox, **person | other))
            if other == {"subject": "subject-0002"}:
                accepted(answer)
            else:
                refused(answer, 422, "input.invalid", "not about the same")

    def test_under_terms_that_are_over_or_name_another_concept(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted
    ) -> None:
        records = new_records(steps, fox)
        elsewhere = steps.licence(steps.concept(ConceptId("demo/owl")))["id"]
        refused(
            steps.renewal(fox, consents=records["consents"], licences=(elsewhere,)),
            422,
            "input.invalid",
            "does not name",
        )
        registry.clock.advance(days=LATER_DAYS)
        refused(steps.renewal(fox, **records), 422, "input.invalid", "outside its term")
        missing = ("lic_" + "a" * 26,)
        refused(steps.renewal(fox, licences=missing), 404, "resource.not_found", "no licence")


class TestRefusesToApprove:
    @pytest.fixture
    def terms(self, steps: Steps, fox: Submitted) -> str:
        return str(asked(steps, fox)["terms"])

    def test_other_terms_than_those_that_wait(self, steps: Steps, fox: Submitted, terms: str) -> None:
        refused(steps.review_renewal(fox, str(fox.terms)), 422, "verification.failed", "look again")
        nameless = steps.post("reviewer", f"{fox.path}/renewal/reviews", steps.rejection(fox))
        refused(nameless, 422, "verification.failed", "name them")

    def test_twice_but_takes_the_same_again(self, steps: Steps, fox: Submitted, terms: str) -> None:
        envelope = steps.approval(fox, "reviewer", terms=Digest(terms))
        path = f"{fox.path}/renewal/reviews"
        first = accepted(steps.post("reviewer", path, envelope))
        assert accepted(steps.post("reviewer", path, envelope)) == first
        refused(steps.review_renewal(fox, terms, comment="again"), 409, "resource.conflict", "a review is final")

    def test_by_those_who_own_trained_or_are_no_reviewers(self, steps: Steps, fox: Submitted, terms: str) -> None:
        answer = steps.review_renewal(fox, terms, "app")
        assert "approval.role" in rules_of(refused(answer, 403, "policy.denied"))
        assert steps.events(fox.name)[-1] == ("approval:refused", "demo/app")

    def test_under_a_consent_withdrawn_meanwhile(self, steps: Steps, fox: Submitted) -> None:
        view = asked(steps, fox, expressed_by="another")
        accepted(
            steps.registry.client("owner").post(f"/v1/consents/{view['consents'][0]}/withdrawal", json={"reason": "no"})
        )
        answer = steps.review_renewal(fox, view["terms"])
        assert "approval.consent" in rules_of(refused(answer, 403, "policy.denied"))
        accepted(steps.review_renewal(fox, view["terms"], reject=True))

    def test_beside_another_approved_version(self, steps: Steps, fox: Submitted) -> None:
        accepted(steps.withdraw(fox))
        terms = asked(steps, fox)["terms"]
        steps.approved(embedding=b"2", consents=(steps.consent(FOX, expressed_by="another")["id"],))
        refused(steps.review_renewal(fox, terms), 409, "resource.conflict", "demo/fox@2 is approved")

    def test_when_none_waits(self, steps: Steps, fox: Submitted) -> None:
        refused(steps.review_renewal(fox, str(fox.terms)), 404, "resource.not_found", "no renewal of demo/fox@1 waits")


class TestAtOnce:
    def test_two_reviewers_both_count(self, registry: RegistryUnderTest, steps: Steps) -> None:
        person = steps.approved(kind=ConceptKind.PERSON)
        terms = asked(steps, person, intended_uses=(INTENDED_USE,))["terms"]

        def reviews(name: str) -> Callable[[Session], object]:
            envelope = steps.approval(person, name, terms=Digest(terms))
            who = caller(registry, name)
            return lambda session: review(session, registry.runtime, who, person.concept, person.number, envelope)

        one_after_the_other(registry, reviews("reviewer"), reviews("second-reviewer"))
        (view,) = steps.get("auditor", f"{person.path}/renewals")["renewals"]
        assert (view["status"], view["approvals"]) == ("approved", 2)

    def test_a_withdrawal_and_an_approval_leave_nothing_approved_under_what_was_withdrawn(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted
    ) -> None:
        view = asked(steps, fox, expressed_by="another")
        envelope = steps.approval(fox, "reviewer", terms=Digest(view["terms"]))
        owner, reviewer = caller(registry, "owner"), caller(registry, "reviewer")

        def withdraw(session: Session) -> None:
            withdraw_consent(session, registry.runtime, owner, RecordId(view["consents"][0]), "no")

        def approve(session: Session) -> object:
            return review(session, registry.runtime, reviewer, fox.concept, fox.number, envelope)

        done = one_after_the_other(registry, withdraw, approve)
        assert isinstance(done, Outcome)
        assert done.refusal
        assert steps.get("app", fox.path)["status"] == "approved"  # under the terms that held before
        assert steps.get("auditor", f"{fox.path}/renewals")["renewals"][0]["status"] == "waiting"

    def test_two_who_ask_leave_one_that_waits(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        records = [new_records(steps, fox, expressed_by=name) for name in ("one", "two")]
        who = caller(registry, "owner")

        def asks(named: dict[str, Any]) -> Callable[[Session], object]:
            def ask_for(session: Session) -> object:
                version = versions.load(session, who.tenant, fox.concept, fox.number)
                return ask(session, registry.runtime, who, version, RenewalRequest(**named))

            return ask_for

        one_after_the_other(registry, asks(records[0]), asks(records[1]))
        page = steps.get("auditor", f"{fox.path}/renewals")["renewals"]
        assert [one["status"] for one in page] == ["replaced", "waiting"]


class TestTheDatabaseRepeatsIt:
    def test_the_threshold(self, registry: RegistryUnderTest, steps: Steps, fox: Submitted) -> None:
        asked(steps, fox)
        insert = "INSERT INTO renewed_terms VALUES ('demo/fox', 1, 1, now(), 'demo/reviewer', now(), 0)"
        with pytest.raises(DBAPIError, match="has 0 of 1 approvals"), registry.engine.begin() as connection:
            connection.execute(text(insert))

    @pytest.mark.parametrize("who", ["demo/owner", "demo/trainer"])
    def test_the_separation_of_duties(
        self, registry: RegistryUnderTest, steps: Steps, fox: Submitted, who: str
    ) -> None:
        asked(steps, fox)
        insert = text(
            "INSERT INTO renewal_reviews VALUES ('demo/fox', 1, 1, :who, 'approve', 'demo/owner', 'demo/trainer', "
            "'demo/owner', '', '', now(), 0)"
        )
        with pytest.raises(DBAPIError, match="separation_of_duties"), registry.engine.begin() as connection:
            connection.execute(insert, {"who": who})
