"""Tests of registry.approvals: reviews, revocations, each refusal with just its own error."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.registry import RegistryUnderTest
from support.versions import (
    Steps,
    Submitted,
    accepted,
    assert_insert_only,
    refused,
    rules_of,
)

from sdk.signing.signer import sign_envelope
from sdk.spec.bundle import VersionBundle
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, parse_version_ref
from sdk.spec.manifest import ConceptKind
from sdk.spec.statements import AuditPredicate
from sdk.verify import verify_version


class TestApprove:
    def test_one_reviewer_approves_a_subject(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        view = accepted(steps.review(version))
        assert (view["status"], view["approvals"]) == ("approved", 1)
        assert steps.events(version.name)[1:] == [
            ("approval:signed", "demo/reviewer"),
            ("version:approved", "demo/reviewer"),
        ]

    def test_a_person_needs_two_distinct_reviewers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(kind=ConceptKind.PERSON)
        assert accepted(steps.review(version))["status"] == "in-review"
        refused(steps.review(version, comment="again"), 409, "resource.conflict", "has reviewed demo/fox@1 already")
        assert accepted(steps.review(version, "second-reviewer"))["status"] == "approved"
        assert len(steps.get("app", version.path)["approvals"]) == 2

    def test_the_same_envelope_again_changes_nothing(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        assert accepted(steps.review(version)) == accepted(steps.review(version))
        assert len(steps.events(version.name)) == 3

    def test_supersedes_the_earlier_approved_version(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first = steps.approved(embedding=b"1")
        second = steps.approved(embedding=b"2")
        assert steps.get("app", first.path)["status"] == "superseded"
        assert steps.get("app", second.path)["status"] == "approved"
        assert steps.events(first.name)[-1] == ("version:superseded", "demo/reviewer")


class TestSeparationOfDuties:
    @pytest.mark.parametrize(
        ("name", "rule"), [("trainer", "approval.not-own-training"), ("owner", "approval.not-own-concept")]
    )
    def test_is_the_first_reason_and_is_logged(self, registry: RegistryUnderTest, name: str, rule: str) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        problem = refused(steps.review(version, name), 403, "policy.denied", rule)
        assert rules_of(problem)[0] == rule
        assert steps.events(version.name)[-1] == ("approval:refused", f"demo/{name}")
        assert steps.get("app", version.path)["status"] == "submitted"

    def test_holds_after_approval_too(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        problem = refused(steps.review(steps.approved(), "trainer"), 403, "policy.denied")
        assert rules_of(problem)[0] == "approval.not-own-training"

    @pytest.mark.parametrize("reviewer", ["demo/owner", "demo/trainer", "demo/asker"])
    def test_the_database_repeats_it(self, registry: RegistryUnderTest, reviewer: str) -> None:
        asked_by(registry, "demo/asker")
        with pytest.raises(DBAPIError, match="ck_reviews_separation_of_duties"), registry.engine.begin() as connection:
            connection.execute(text(INSERT), REVIEW | {"reviewer": reviewer})

    def test_the_database_takes_a_review_of_somebody_else(self, registry: RegistryUnderTest) -> None:
        asked_by(registry, "demo/asker")
        with registry.engine.begin() as connection:
            connection.execute(text(INSERT), REVIEW)

    @pytest.mark.parametrize("told", [{"owner": "demo/x"}, {"trainer": "demo/x"}, {"asker": "demo/x"}])
    def test_the_database_knows_whose_work_the_version_is(
        self, registry: RegistryUnderTest, told: dict[str, str]
    ) -> None:
        asked_by(registry, "demo/asker")
        with pytest.raises(DBAPIError, match="fk_reviews"), registry.engine.begin() as connection:
            connection.execute(text(INSERT), REVIEW | told)

    def test_a_row_that_is_no_review_yet_makes_nothing_approved(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted(kind=ConceptKind.PERSON)
        approve = "UPDATE version_states SET status = 'approved', approvals = 2"
        with pytest.raises(DBAPIError, match="has 1 of 2 approvals"), registry.engine.begin() as connection:
            connection.execute(text(INSERT), REVIEW | {"asker": "demo/trainer"})
            connection.execute(text(approve))
        with registry.engine.begin() as connection:
            for reviewer in ("demo/one", "demo/two"):
                connection.execute(text(INSERT), REVIEW | {"asker": "demo/trainer", "reviewer": reviewer})
            connection.execute(text(approve))

    def test_whoever_asked_for_the_review_does_not_approve(self, registry: RegistryUnderTest) -> None:
        version = asked_by(registry, "demo/reviewer")
        problem = refused(Steps(registry).review(version), 403, "policy.denied")
        assert rules_of(problem) == ["approval.not-own-request"]


INSERT = """
INSERT INTO reviews VALUES ('demo/fox', 1, :reviewer, 'approve', :owner, :trainer, '', '', now(), 0, :asker)
"""
REVIEW = {"reviewer": "demo/reviewer", "owner": "demo/owner", "trainer": "demo/trainer", "asker": "demo/asker"}


def asked_by(registry: RegistryUnderTest, requester: str) -> Submitted:
    """A version whose review somebody asked for who is neither its owner nor had it trained."""
    version = Steps(registry).drafted()
    with registry.engine.begin() as connection:
        asked = text("INSERT INTO review_requests VALUES ('demo/fox', 1, :requester, now(), 0)")
        connection.execute(asked, {"requester": requester})
        connection.execute(text("UPDATE version_states SET status = 'submitted'"))
    return version


class TestReviewRefuses:
    """One fault a test; the approval is good in everything else."""

    def test_callers_who_are_no_reviewers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        assert rules_of(refused(steps.review(version, "app"), 403, "policy.denied")) == ["approval.role"]
        assert steps.events(version.name)[-1] == ("approval:refused", "demo/app")

    def test_a_key_that_is_not_for_approvals(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(steps.review(steps.submitted(), signer="app"), 422, "verification.signature")

    def test_the_key_of_another_reviewer(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        answer = steps.review(steps.submitted(), signer="second-reviewer")
        refused(answer, 422, "verification.signature", "key of demo/reviewer")

    def test_a_payload_that_was_changed_after_signing(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        good = steps.approval(version, "reviewer")
        payload = good.payload.replace(b'"comment":""', b'"comment":"x"')
        assert payload != good.payload
        answer = steps.post("reviewer", f"{version.path}/reviews", good.model_copy(update={"payload": payload}))
        refused(answer, 422, "verification.signature")

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"about": Digest.of(b"other")}, "should be about demo/fox"),
            ({"number": 2}, "is about demo/fox@2"),
            ({"concept": ConceptId("demo/shrine")}, "is about demo/shrine@1"),
            ({"reviewer": PrincipalId("demo/second-reviewer")}, "is by demo/second-reviewer"),
            ({"terms": Digest.of(b"other terms")}, "look again"),
        ],
    )
    def test_a_statement_about_something_else(
        self, registry: RegistryUnderTest, changes: dict[str, Any], says: str
    ) -> None:
        steps = Steps(registry)
        refused(steps.review(steps.submitted(), **changes), 422, "verification.failed", says)

    def test_statements_that_are_no_review(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        predicate = AuditPredicate(
            auditor=PrincipalId("demo/reviewer"), origin="x", tree_size=1, verified_at=registry.clock.now
        )
        envelope = steps.sign(predicate, "reviewer", {"demo/fox": version.manifest.digest})
        refused(steps.post("reviewer", f"{version.path}/reviews", envelope), 422, "format.invalid", "approval or a rej")
        garbage = sign_envelope(b"{}", registry.keys["reviewer"])
        refused(steps.post("reviewer", f"{version.path}/reviews", garbage), 422, "format.invalid")

    def test_versions_that_are_not_there_or_not_the_tenants(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        envelope = steps.approval(version, "reviewer")
        refused(steps.post("reviewer", "/v1/concepts/demo/fox/versions/2/reviews", envelope), 404, "resource.not_found")
        refused(steps.post("other-reviewer", f"{version.path}/reviews", envelope), 404, "resource.not_found")

    def test_an_approval_that_comes_too_late_is_a_conflict_and_no_breach(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        refused(steps.review(version, "second-reviewer"), 409, "resource.conflict", "is approved")
        assert ("approval:refused", "demo/second-reviewer") not in steps.events(version.name)

    def test_consents_and_licences_that_are_over(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        registry.clock.advance(days=100)
        problem = refused(steps.review(version), 403, "policy.denied")
        assert rules_of(problem) == ["approval.consent", "approval.licence"]

    def test_nothing_of_a_refused_act_stays_but_its_entry(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        refused(steps.review(version, terms=Digest.of(b"x")), 422, "verification.failed")
        assert len(steps.events(version.name)) == 1
        assert accepted(steps.review(version))["status"] == "approved"


class TestReject:
    def test_is_final(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        assert accepted(steps.reject(version))["status"] == "rejected"
        assert steps.events(version.name)[-1] == ("version:rejected", "demo/reviewer")
        refused(steps.review(version, "second-reviewer"), 409, "resource.conflict", "is rejected")

    def test_ends_a_review_that_has_begun(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(kind=ConceptKind.PERSON)
        accepted(steps.review(version))
        assert accepted(steps.reject(version, "second-reviewer"))["status"] == "rejected"

    def test_is_for_reviewers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        assert rules_of(refused(steps.reject(steps.submitted(), "trainer"), 403, "policy.denied")) == ["approval.role"]

    def test_does_not_count_as_an_approval_in_the_proofs(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.reject(version))
        assert steps.get("app", version.path)["approvals"] == []


class TestRevoke:
    def test_is_final_and_logged(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        assert accepted(steps.revoke(version))["status"] == "revoked"
        assert steps.events(version.name)[-1] == ("version:revoked", "demo/reviewer")
        refused(steps.revoke(version, "second-reviewer"), 409, "resource.conflict", "is revoked")

    def test_the_same_envelope_again_changes_nothing(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        assert accepted(steps.revoke(version)) == accepted(steps.revoke(version))

    def test_ends_a_suspended_version_too(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        accepted(steps.withdraw(version))
        assert accepted(steps.revoke(version))["status"] == "revoked"

    def test_what_waits_for_review_is_not_revoked(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(steps.revoke(steps.submitted()), 409, "resource.conflict", "is submitted")

    def test_is_for_reviewers_and_owners(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        assert rules_of(refused(steps.revoke(version, "trainer"), 403, "policy.denied")) == ["approval.revoke-role"]
        assert steps.events(version.name)[-1] == ("approval:refused", "demo/trainer")

    def test_an_owner_still_needs_a_trusted_key(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(steps.revoke(steps.approved(), "owner"), 422, "verification.signature")

    @pytest.mark.parametrize(
        "changes", [{"number": 2}, {"concept": ConceptId("demo/x")}, {"revoked_by": PrincipalId("demo/owner")}]
    )
    def test_a_statement_about_something_else(self, registry: RegistryUnderTest, changes: dict[str, Any]) -> None:
        steps = Steps(registry)
        refused(steps.revoke(steps.approved(), **changes), 422, "verification.failed")

    def test_another_version_can_be_approved_afterwards(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.revoke(steps.approved(embedding=b"1")))
        assert steps.get("app", steps.approved(embedding=b"2").path)["status"] == "approved"


class TestBundle:
    def test_all_its_receipts_are_under_one_checkpoint(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(kind=ConceptKind.PERSON)
        for name in ("reviewer", "second-reviewer"):
            accepted(steps.review(version, name))
        bundle = VersionBundle.model_validate(steps.get("app", version.path))
        receipts = [bundle.submission_receipt, *(approval.receipt for approval in bundle.approvals)]
        assert {receipt.checkpoint for receipt in receipts} == {bundle.checkpoint}

    def test_a_person_verifies_with_both_approvals(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(kind=ConceptKind.PERSON)
        for name in ("reviewer", "second-reviewer"):
            accepted(steps.review(version, name))
        bundle = VersionBundle.model_validate(steps.get("app", version.path))
        trust, now = registry.runtime.trust_root, registry.clock.now
        listed = registry.client(None).get("/v1/status/demo/0").content
        verified = verify_version(bundle, ref=parse_version_ref("demo/fox"), trust=trust, now=now, status_list=listed)
        assert verified.approvers == ("demo/reviewer", "demo/second-reviewer")


class TestEvidence:
    def test_rows_are_never_changed_or_removed(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.revoke(steps.approved()))
        for table in ("reviews", "revocations"):
            assert_insert_only(registry, table)
