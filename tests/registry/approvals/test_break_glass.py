"""Tests of registry.approvals.break_glass: what opens a version before its approval, and each fault with just its own refusal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.break_glass import make_open_registry, open_version, opening
from support.database import DatabaseServer
from support.registry import RegistryUnderTest
from support.versions import FOX, USE, Steps, Submitted, accepted, assert_insert_only, refused, rules_of

from sdk.break_glass import verify_usable
from sdk.compose.question import composition_context
from sdk.errors import NotApproved
from sdk.signing.status import verify_status_list
from sdk.spec.api import AliasChange, AliasChanges, GenerationGrant
from sdk.spec.bundle import VersionBundle
from sdk.spec.digest import Digest
from sdk.spec.ids import AliasName, ConceptId, RecordId, parse_version_ref
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import PolicyPrincipal, Role
from sdk.spec.status_list import IN_BREAK_GLASS, StatusPurpose
from sdk.spec.terms import AgeClass, Capacity

PAIR = ("reviewer", "owner")


@pytest.fixture
def registry(postgres_server: DatabaseServer) -> Iterator[RegistryUnderTest]:
    with postgres_server.fresh_database() as url, make_open_registry(url) as made:
        yield made


@pytest.fixture
def person(registry: RegistryUnderTest) -> Submitted:
    """A version that needs two reviewers and has one."""
    version = Steps(registry).submitted(kind=ConceptKind.PERSON)
    assert accepted(Steps(registry).review(version))["status"] == "in-review"
    return version


def opened(registry: RegistryUnderTest, version: Submitted, **changes: Any) -> Any:
    return accepted(open_version(registry, version, opening(registry, version, *PAIR, **changes), "reviewer"))


def said_by_the_list(registry: RegistryUnderTest, version: Submitted) -> tuple[StatusPurpose, ...]:
    listed = verify_status_list(registry.client(None).get("/v1/status/demo/0").content, registry.runtime.trust_root)
    bundle = VersionBundle.model_validate(Steps(registry).get("app", version.path))
    return listed.raised(bundle.submission_receipt.index)


class TestOpens:
    def test_a_version_that_still_lacks_an_approval(self, registry: RegistryUnderTest, person: Submitted) -> None:
        view = opened(registry, person)
        assert (view["signers"], view["in_force"]) == (["demo/owner", "demo/reviewer"], True)
        assert Steps(registry).get("app", person.path)["status"] == "break-glass"
        assert Steps(registry).events(person.name)[-1] == ("version:break_glass", "demo/reviewer")
        assert_insert_only(registry, "break_glasses")

    def test_it_is_verified_offline_until_it_expires(self, registry: RegistryUnderTest, person: Submitted) -> None:
        opened(registry, person)
        registry.clock.advance(hours=11, minutes=59)
        assert self.verified(registry, person).break_glass
        registry.clock.advance(minutes=1)
        with pytest.raises(NotApproved, match="demo/fox@1 is in-review, not approved"):
            self.verified(registry, person)

    def test_the_application_that_verifies_it_asks_the_very_question_of_record(
        self, registry: RegistryUnderTest, person: Submitted
    ) -> None:
        opened(registry, person)
        grant = GenerationGrant.model_validate(accepted(Steps(registry).compose(person)))
        asker = PolicyPrincipal(id=registry.principals["app"], roles=(Role.APP,))
        version = self.verified(registry, person)
        assert composition_context(asker, [version], USE, count=2, at=grant.context.at) == grant.context

    @staticmethod
    def verified(registry: RegistryUnderTest, version: Submitted) -> Any:
        return verify_usable(
            VersionBundle.model_validate(Steps(registry).get("app", version.path)),
            ref=parse_version_ref(version.name),
            trust=registry.runtime.trust_root,
            now=registry.clock.now,
            status_list=registry.client(None).get("/v1/status/demo/0").content,
        )

    def test_every_use_says_so(self, registry: RegistryUnderTest, person: Submitted) -> None:
        steps = Steps(registry)
        assert rules_of(refused(steps.compose(person), 403, "policy.denied"))[0] == "composition.approved-only"
        opened(registry, person)
        grant = accepted(steps.compose(person, key="opened" * 4))
        assert "composition.break-glass" in [reason["rule"] for reason in grant["decision"]["reasons"]]
        embedding = f"/v1/generations/{grant['id']}/artefacts/{person.manifest.artefacts[0].digest}"
        assert registry.client("app").get(embedding).content == person.embedding
        view = steps.get("auditor", f"/v1/generations/{grant['id']}")
        assert view["break_glass"] == [person.name]
        (logged,) = steps.get("auditor", f"/v1/log/entries?subject={grant['id']}&event=generation:permitted")["entries"]
        assert logged["entry"]["facts"]["break_glass"] == person.name
        registry.clock.advance(hours=12)
        refused(registry.client("app").get(embedding), 403, "auth.forbidden")
        refused(steps.compose(person, key="expired" * 4), 403, "policy.denied", "in-review")

    def test_the_status_list_tells_it_and_its_end_at_once(self, registry: RegistryUnderTest, person: Submitted) -> None:
        assert said_by_the_list(registry, person) == (StatusPurpose.MESSAGE,)
        opened(registry, person)
        assert said_by_the_list(registry, person) == IN_BREAK_GLASS
        accepted(Steps(registry).reject(person, "second-reviewer"))
        assert said_by_the_list(registry, person) == (StatusPurpose.MESSAGE,)
        refused(Steps(registry).compose(person), 403, "policy.denied", "rejected")

    def test_a_withdrawn_consent_shuts_it(self, registry: RegistryUnderTest, person: Submitted) -> None:
        opened(registry, person)
        accepted(Steps(registry).withdraw(person))
        assert Steps(registry).get("app", person.path)["status"] == "in-review"
        assert said_by_the_list(registry, person) == (StatusPurpose.MESSAGE,)

    def test_reviewers_go_on_and_approve_it(self, registry: RegistryUnderTest, person: Submitted) -> None:
        opened(registry, person)
        assert accepted(Steps(registry).review(person, "second-reviewer"))["status"] == "approved"
        assert said_by_the_list(registry, person) == ()

    def test_what_stood_is_told_for_every_moment(self, registry: RegistryUnderTest, person: Submitted) -> None:
        opened(registry, person)
        during = registry.clock.now
        registry.clock.advance(hours=13)
        for at, status in ((during, "break-glass"), (registry.clock.now, "in-review")):
            answer = registry.client("auditor").get("/v1/history", params={"ref": person.name, "at": at.isoformat()})
            assert accepted(answer)["status"] == status

    def test_reviewers_and_auditors_have_a_notice_and_see_it_listed(
        self, registry: RegistryUnderTest, person: Submitted
    ) -> None:
        opened(registry, person)
        for name in ("second-reviewer", "auditor"):
            (notice,) = Steps(registry).get(name, "/v1/notices")["break_glasses"]
            assert notice["reason"] == "the broadcast is tonight"
        assert Steps(registry).get("app", "/v1/notices")["break_glasses"] == []
        registry.clock.advance(hours=12)
        assert Steps(registry).get("auditor", "/v1/notices")["break_glasses"] == []
        (kept,) = Steps(registry).get("auditor", "/v1/break-glasses?limit=1")["break_glasses"]
        assert (kept["number"], kept["in_force"]) == (1, False)
        refused(registry.client("app").get("/v1/break-glasses"), 403, "auth.forbidden")

    def test_an_application_has_a_notice_of_what_was_rejected_after_it_used_it(
        self, registry: RegistryUnderTest, person: Submitted
    ) -> None:
        opened(registry, person)
        accepted(Steps(registry).compose(person))
        accepted(Steps(registry).reject(person, "second-reviewer"))
        (notice,) = Steps(registry).get("app", "/v1/notices")["notices"]
        assert (notice["status"], notice["reason"]) == ("rejected", "not recognisable")


class TestIsNamedExactly:
    def test_no_alias_and_no_bare_name_means_it(self, registry: RegistryUnderTest, person: Submitted) -> None:
        opened(registry, person)
        changes = AliasChanges(changes=(AliasChange(concept=FOX, alias=AliasName("stable"), number=1),))
        refused(Steps(registry).post("owner", "/v1/aliases", changes), 422, "verification.not_approved", "break-glass")
        refused(registry.client("app").get("/v1/resolve?ref=demo/fox"), 422, "verification.not_approved")
        for ref in (person.name, f"demo/fox@{person.manifest.digest}"):
            assert Steps(registry).get("app", f"/v1/resolve?ref={ref}")["status"] == "break-glass"
        assert Steps(registry).get("app", "/v1/concepts/demo/fox").get("approved_number") is None


class TestRefuses:
    """One fault a test; the statement is good in everything else."""

    def refused(self, registry: RegistryUnderTest, version: Submitted, status: int, code: str, says: str = "") -> Any:
        answer = open_version(registry, version, self.envelope, self.by)
        problem = refused(answer, status, code, says)
        assert Steps(registry).get("app", version.path)["status"] == "in-review"
        return problem

    envelope: Any
    by = "reviewer"

    def test_one_signature(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope = opening(registry, person, *PAIR, signed_by=("reviewer",))
        self.refused(
            registry, person, 422, "verification.signature", "lacks a signature by an approval key of demo/owner"
        )

    def test_the_same_person_twice(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope = opening(registry, person, *PAIR, signed_by=("reviewer", "reviewer"))
        self.refused(registry, person, 422, "verification.signature", "demo/owner")

    def test_a_second_key_that_is_not_for_approvals(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope = opening(registry, person, "reviewer", "app")
        self.refused(registry, person, 422, "verification.signature", "demo/app")

    def test_two_whose_work_it_is(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).drafted(kind=ConceptKind.PERSON)
        with registry.engine.begin() as connection:
            connection.execute(text("INSERT INTO review_requests VALUES ('demo/fox', 1, 'demo/reviewer', now(), 0)"))
            connection.execute(text("UPDATE version_states SET status = 'submitted'"))
        both = open_version(registry, version, opening(registry, version, *PAIR), "reviewer")
        assert set(rules_of(refused(both, 403, "policy.denied"))) <= {
            "approval.not-own-request",
            "approval.not-own-concept",
        }
        assert Steps(registry).events(version.name)[-1] == ("approval:refused", "demo/reviewer")
        one = opening(registry, version, "reviewer", "second-reviewer")
        assert accepted(open_version(registry, version, one, "reviewer"))["in_force"]

    def test_one_that_is_expired(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope = opening(registry, person, *PAIR, hours=1)
        registry.clock.advance(hours=1)
        self.refused(registry, person, 422, "input.invalid", "it should end later")

    def test_more_than_72_hours(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope = opening(registry, person, *PAIR, hours=72)
        registry.clock.advance(seconds=-1)
        self.refused(registry, person, 422, "input.invalid", "within 72 hours")
        registry.clock.advance(seconds=1)
        assert accepted(open_version(registry, person, self.envelope, "reviewer"))["in_force"]

    def test_other_terms(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope = opening(registry, person, *PAIR, terms=Digest.of(b"others"))
        self.refused(registry, person, 422, "verification.failed", "look again")

    def test_another_manifest_or_number(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope = opening(registry, person, *PAIR, about=Digest.of(b"other"))
        self.refused(registry, person, 422, "verification.failed", "should be about")
        self.envelope = opening(registry, person, *PAIR, number=2)
        self.refused(registry, person, 422, "verification.failed", "demo/fox@2")

    def test_somebody_who_did_not_sign(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope, self.by = opening(registry, person, *PAIR), "second-reviewer"
        self.refused(registry, person, 422, "verification.failed", "was sent by demo/second-reviewer")

    def test_a_signer_without_the_role_although_not_alone(self, registry: RegistryUnderTest, person: Submitted) -> None:
        self.envelope, self.by = opening(registry, person, *PAIR), "owner"
        assert "approval.role" in rules_of(self.refused(registry, person, 403, "policy.denied"))

    def test_a_minor(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.concept(FOX, ConceptKind.PERSON)
        of_age = {"age_class": AgeClass.MINOR, "expressed_as": Capacity.GUARDIAN, "of_age_on": date(2035, 1, 1)}
        consent = RecordId(steps.consent(FOX, **of_age)["id"])
        version = steps.submitted(kind=ConceptKind.PERSON, consents=(consent,))
        answer = open_version(registry, version, opening(registry, version, *PAIR), "reviewer")
        assert "approval.break-glass-minor" in rules_of(refused(answer, 403, "policy.denied"))

    def test_what_is_approved_and_what_was_opened_before(self, registry: RegistryUnderTest, person: Submitted) -> None:
        envelope = opening(registry, person, *PAIR)
        first = accepted(open_version(registry, person, envelope, "reviewer"))
        assert accepted(open_version(registry, person, envelope, "reviewer")) == first
        registry.clock.advance(hours=12)
        again = open_version(registry, person, opening(registry, person, *PAIR), "reviewer")
        refused(again, 409, "resource.conflict", "opened by break-glass before")
        fox = Steps(registry).approved(ConceptId("demo/owl"))
        done = open_version(registry, fox, opening(registry, fox, *PAIR), "reviewer")
        refused(done, 409, "resource.conflict", "demo/owl@1 is approved")


INSERT = """
INSERT INTO break_glasses
VALUES ('demo/fox', 1, :first, :second, 'demo/owner', 'demo/trainer', 'demo/trainer', '', '', '', :first, :at,
        :at + :life * interval '1 hour', 0)
"""


class TestTheDatabaseRepeatsIt:
    @pytest.mark.parametrize(
        ("change", "check"),
        [
            ({"second": "demo/reviewer"}, "two_people"),
            ({"first": "demo/owner", "second": "demo/trainer"}, "separation_of_duties"),
            ({"life": 72.1}, "not_for_long"),
            ({"life": 0}, "not_for_long"),
        ],
    )
    def test_rule(self, registry: RegistryUnderTest, person: Submitted, change: dict[str, Any], check: str) -> None:
        good = {"first": "demo/reviewer", "second": "demo/owner", "at": registry.clock.now, "life": 72}
        with pytest.raises(DBAPIError, match=f"ck_break_glasses_{check}"), registry.engine.begin() as connection:
            connection.execute(text(INSERT), good | change)
