"""Tests of registry.consent.subjects and query: a subject finds what is about them, withdraws it, and finds nothing else."""

from __future__ import annotations

import re

import pytest
from support.governed import EVIDENCE
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, assert_insert_only, refused

from registry.auth import Caller
from registry.consent.subjects import pseudonyms_of
from registry.openapi import is_public
from sdk.spec.api import Withdrawal
from sdk.spec.ids import ConceptId, PrincipalId, TenantName
from sdk.spec.policy import Role
from sdk.spec.subjects import SubjectBinding, SubjectRelease
from sdk.spec.terms import Capacity

HARU, SUBJECT = "subject-haru", PrincipalId("demo/subject")
MINE = SubjectBinding(pseudonym=HARU, principal=SUBJECT, capacity=Capacity.SELF)
RELEASE = SubjectRelease(pseudonym=HARU, principal=SUBJECT, reason="another agent")


def pseudonyms(registry: RegistryUnderTest, *roles: Role) -> frozenset[str]:
    caller = Caller(principal=SUBJECT, tenant=TenantName("demo"), roles=frozenset(roles))
    with registry.runtime.transaction(caller.tenant) as session:
        return pseudonyms_of(session, caller)


def about(answer: object) -> list[str]:
    assert isinstance(answer, dict)
    return [held["record"]["subject"] for held in answer["consents"]]


class TestBinding:
    def test_says_who_the_caller_is_until_it_is_released(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.post("owner", "/v1/subjects", MINE))
        accepted(steps.post("owner", "/v1/subjects", MINE.model_copy(update={"pseudonym": "subject-2"})))
        assert pseudonyms(registry, Role.SUBJECT) == {HARU, "subject-2"}
        accepted(steps.post("owner", "/v1/subjects/release", RELEASE))
        assert pseudonyms(registry, Role.SUBJECT) == {"subject-2"}
        accepted(steps.post("owner", "/v1/subjects", MINE))
        assert pseudonyms(registry, Role.SUBJECT) == {HARU, "subject-2"}

    def test_are_listed_in_pages_without_those_that_ended(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for name in ("subject-1", "subject-2", "subject-3"):
            accepted(steps.post("owner", "/v1/subjects", MINE.model_copy(update={"pseudonym": name})))
        gone = SubjectRelease(pseudonym="subject-2", principal=MINE.principal, reason="gone")
        accepted(steps.post("owner", "/v1/subjects/release", gone))
        first = steps.get("owner", "/v1/subjects?limit=1")
        second = steps.get("owner", f"/v1/subjects?limit=1&cursor={first['next_cursor']}")
        shown = [page["subjects"][0]["binding"]["pseudonym"] for page in (first, second)]
        assert (shown, second.get("next_cursor")) == (["subject-1", "subject-3"], None)

    def test_counts_only_with_the_role(self, registry: RegistryUnderTest) -> None:
        accepted(Steps(registry).post("owner", "/v1/subjects", MINE))
        assert pseudonyms(registry, Role.APP) == frozenset()

    def test_the_same_again_is_the_same(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first, again = (accepted(steps.post("owner", "/v1/subjects", MINE)) for _ in range(2))
        assert first["receipt"]["index"] == again["receipt"]["index"]
        other = MINE.model_copy(update={"capacity": Capacity.AGENT, "evidence": EVIDENCE})
        refused(steps.post("owner", "/v1/subjects", other), 409, "resource.conflict", "release that first")

    def test_to_speak_for_somebody_else_takes_a_document(self, registry: RegistryUnderTest) -> None:
        body = MINE.model_dump(mode="json", exclude_none=True) | {"capacity": "guardian"}
        refused(registry.client("owner").post("/v1/subjects", json=body), 422, "input.invalid", "name the document")
        with_document = MINE.model_copy(update={"capacity": Capacity.GUARDIAN, "evidence": EVIDENCE})
        accepted(Steps(registry).post("owner", "/v1/subjects", with_document))

    @pytest.mark.parametrize("name", ["subject", "app", "reviewer", "auditor"])
    def test_only_owners_and_administrators_bind(self, registry: RegistryUnderTest, name: str) -> None:
        steps = Steps(registry)
        refused(steps.post(name, "/v1/subjects", MINE), 403, "auth.forbidden")
        refused(steps.post(name, "/v1/subjects/release", RELEASE), 403, "auth.forbidden")

    def test_release_needs_a_binding_that_holds(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(steps.post("owner", "/v1/subjects/release", RELEASE), 404, "resource.not_found")

    def test_the_log_tells_the_act_and_never_the_pseudonym(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.post("owner", "/v1/subjects", MINE))
        accepted(steps.post("owner", "/v1/subjects/release", RELEASE))
        assert steps.events(SUBJECT)[-2:] == [("subject:bound", "demo/owner"), ("subject:released", "demo/owner")]
        page = registry.client("auditor").get("/v1/log/entries", params={"limit": 1000}).text
        assert HARU not in page

    def test_is_listed_to_the_subject_and_to_who_works_with_it(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.post("owner", "/v1/subjects", MINE))
        other = MINE.model_copy(update={"principal": PrincipalId("demo/elsewhere"), "pseudonym": "subject-2"})
        accepted(steps.post("owner", "/v1/subjects", other))
        listed = {
            name: [held["binding"]["pseudonym"] for held in steps.get(name, "/v1/subjects")["subjects"]]
            for name in ("subject", "owner", "auditor")
        }
        assert listed == {"subject": [HARU], "owner": ["subject-2", HARU], "auditor": ["subject-2", HARU]}
        refused(registry.client("app").get("/v1/subjects"), 403, "auth.forbidden")

    def test_rows_are_never_changed_or_removed(self, registry: RegistryUnderTest) -> None:
        accepted(Steps(registry).post("owner", "/v1/subjects", MINE))
        assert_insert_only(registry, "subject_bindings")


class TestSubject:
    def test_finds_the_consents_about_them_and_no_others(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        mine, other = steps.consent(FOX, subject=HARU)["id"], steps.consent(FOX)["id"]
        assert about(steps.get("subject", "/v1/consents")) == []
        refused(registry.client("subject").get(f"/v1/consents/{mine}"), 404, "resource.not_found")
        accepted(steps.post("owner", "/v1/subjects", MINE))
        assert about(steps.get("subject", "/v1/consents")) == [HARU]
        assert about(steps.get("subject", "/v1/consents?subject=subject-0001")) == []
        assert steps.get("subject", f"/v1/consents/{mine}")["status"] == "given"
        answers = [
            refused(registry.client("subject").get(f"/v1/consents/{identity}"), 404, "resource.not_found")
            for identity in (other, "con_aaaaaaaaaaaaaaaaaaaaaaaaaa")
        ]
        assert answers[0]["detail"].replace(other, "") == answers[1]["detail"].replace(
            "con_aaaaaaaaaaaaaaaaaaaaaaaaaa", ""
        )

    def test_withdraws_as_easily_as_it_was_given(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        consent = steps.consent(FOX, subject=HARU)["id"]
        version = steps.approved(FOX, consents=(consent,))
        path = f"/v1/consents/{consent}/withdrawal"
        refused(steps.post("subject", path, Withdrawal(reason="no more")), 404, "resource.not_found")
        accepted(steps.post("owner", "/v1/subjects", MINE))
        accepted(steps.post("subject", path, Withdrawal(reason="no more")))
        assert steps.get("owner", version.path)["status"] == "suspended"
        assert steps.get("subject", f"/v1/consents/{consent}")["status"] == "withdrawn"
        assert steps.events(consent)[-1] == ("consent:withdrawn", "demo/subject")

    def test_is_let_in_nowhere_else(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.post("owner", "/v1/subjects", MINE))
        one = "/v1/consents/{consent}"
        own = {"/v1/whoami", "/v1/subjects", "/v1/denials", "/v1/consents", one, f"{one}/receipt", f"{one}/export"}
        for path, item in registry.app.openapi()["paths"].items():
            if "get" in item and path not in own and not is_public(path):
                answer = registry.client("subject").get(re.sub(r"\{\w+\}", "x", path))
                assert answer.status_code == 403, (path, answer.text)  # before anything else about it is looked at

    def test_of_another_tenant_with_the_same_pseudonym_finds_nothing(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.consent(FOX, subject=HARU)
        theirs = MINE.model_copy(update={"principal": PrincipalId("other/subject")})
        accepted(steps.post("other-owner", "/v1/subjects", theirs))
        assert about(steps.get("other-subject", "/v1/consents")) == []


class TestPages:
    def test_go_through_all_consents_by_id(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        given = sorted(steps.consent(FOX, covers=(ConceptId(f"demo/c{n}"),))["id"] for n in range(5))
        seen: list[str] = []
        after = ""
        while True:
            page = steps.get("owner", f"/v1/consents?limit=2{after}")
            seen += [held["id"] for held in page["consents"]]
            if "next_after" not in page or page["next_after"] is None:
                break
            after = f"&after={page['next_after']}"
        assert seen == given
