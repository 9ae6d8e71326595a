"""The ledger of refused attempts: a subject reads who tried what with their concepts, and nothing about anybody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.console import Browser
from support.prepared import After
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import FOX, USE, Steps, accepted, refused, rules_of

from registry.settings import SHIPPED_POLICIES
from sdk.client import Client
from sdk.errors import Conflict
from sdk.spec.denials import (
    DenialAbout,
    DenialPage,
    DenialQuery,
    DeniedAct,
    DeniedAttempt,
    TrainingDenied,
    WantedConcept,
    WantedTraining,
)
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.subjects import SubjectBinding, SubjectRelease
from sdk.spec.terms import Capacity

SHRINE = ConceptId("demo/shrine")
HARU, OTHER = "subject-haru", "subject-other"
SUBJECT = PrincipalId("demo/subject")
POLITICS = USE.model_copy(update={"purpose": "politics"})
PATH = "/v1/denials"


@pytest.fixture
def tried(after: After) -> Iterator[RegistryUnderTest]:
    with after(try_them).copy() as registry:
        yield registry


def try_them(registry: RegistryUnderTest) -> None:
    """The fox is of Haru, the shrine of somebody else. Refused, in this order: the fox's own trainer approving it; the fox
    for politics; the shrine for politics; both for politics. The fox is used once, rightly."""
    steps = Steps(registry)
    accepted(steps.post("owner", "/v1/subjects", binding(HARU)))
    fox = steps.submitted(consents=(consent(steps, FOX, HARU),))
    shrine = steps.approved(SHRINE, embedding=b"s", consents=(consent(steps, SHRINE, OTHER),))
    refused(steps.review(fox, "app", signer="reviewer"), 403, "policy.denied")
    accepted(steps.review(fox))
    for key, versions in (("a", (fox,)), ("b", (shrine,)), ("c", (fox, shrine))):
        registry.clock.advance(days=1)
        refused(steps.compose(*versions, key=key * 16, use=POLITICS), 403, "policy.denied")
    accepted(steps.compose(fox, key="d" * 16))


def binding(pseudonym: str) -> SubjectBinding:
    return SubjectBinding(pseudonym=pseudonym, principal=SUBJECT, capacity=Capacity.SELF)


def consent(steps: Steps, concept: ConceptId, subject: str) -> str:
    given: str = steps.consent(steps.concept(concept), subject=subject, expressed_by=subject)["id"]
    return given


def read(registry: RegistryUnderTest, name: str = "subject", **members: Any) -> DenialPage:
    with Client(BASE_URL, registry.credentials[name], transport=registry.transport) as client:
        return client.list_denials(DenialQuery(**members))


def acts(page: DenialPage) -> list[tuple[DeniedAct, tuple[str, ...], int]]:
    return [(attempt.act, attempt.concepts, attempt.others) for attempt in page.denials]


def told(attempt: DeniedAttempt) -> set[tuple[DenialAbout, str | None]]:
    return {(rule.about, rule.rule) for rule in attempt.rules}


class TestSubject:
    def test_reads_who_tried_what_with_their_concepts_newest_first(self, tried: RegistryUnderTest) -> None:
        page = read(tried)
        assert acts(page) == [
            (DeniedAct.COMPOSE, ("demo/fox@1",), 1),
            (DeniedAct.COMPOSE, ("demo/fox@1",), 0),
            (DeniedAct.APPROVE, ("demo/fox@1",), 0),
        ]
        alone, approval = page.denials[1:]
        assert (alone.by, alone.use, alone.images) == ("demo/app", POLITICS, 2)
        assert told(alone) == {(DenialAbout.CONCEPT, "composition.purpose")}
        assert all(rule.plain and rule.plain_ja for rule in alone.rules)
        assert (approval.by, approval.use) == ("demo/app", None)
        assert told(approval) == {(DenialAbout.CONCEPT, "approval.role")}

    def test_learns_nothing_of_other_concepts_in_the_same_attempt(self, tried: RegistryUnderTest) -> None:
        answer = tried.client("subject").get(PATH)
        assert "shrine" not in answer.text
        both = read(tried).denials[0]
        assert told(both) == {(DenialAbout.CONCEPT, "composition.purpose"), (DenialAbout.OTHER, None)}

    def test_finds_no_scene_and_no_other_persons_ledger(self, tried: RegistryUnderTest) -> None:
        assert "scene" not in tried.client("subject").get(PATH).text
        assert read(tried, concept=SHRINE).denials == ()
        assert len(read(tried, concept=FOX).denials) == 3

    def test_reads_nothing_without_a_binding_and_still_after_a_withdrawal(self, tried: RegistryUnderTest) -> None:
        steps = Steps(tried)
        consents = steps.get("subject", "/v1/consents")["consents"]
        accepted(tried.client("subject").post(f"/v1/consents/{consents[0]['id']}/withdrawal", json={"reason": "mine"}))
        assert len(read(tried).denials) == 3
        release = SubjectRelease(pseudonym=HARU, principal=SUBJECT, reason="moved")
        accepted(steps.post("owner", "/v1/subjects/release", release))
        assert read(tried).denials == ()

    def test_of_another_tenant_reads_nothing(self, tried: RegistryUnderTest) -> None:
        assert read(tried, "other-subject").denials == ()


class TestMembers:
    @pytest.mark.parametrize("name", ["auditor", "owner"])
    def test_who_may_read_generations_read_all_of_it(self, tried: RegistryUnderTest, name: str) -> None:
        page = read(tried, name)
        assert acts(page)[0] == (DeniedAct.COMPOSE, ("demo/fox@1", "demo/shrine@1"), 0)
        assert len(page.denials) == 4
        assert {rule.about for attempt in page.denials for rule in attempt.rules} == {DenialAbout.CONCEPT}

    @pytest.mark.parametrize("name", ["app", "reviewer"])
    def test_others_read_none(self, tried: RegistryUnderTest, name: str) -> None:
        problem = refused(tried.client(name).get(PATH), 403, "policy.denied")
        assert rules_of(problem) == ["audit_access.generations-role"]


class TestPaging:
    @pytest.mark.parametrize("limit", [1, 2, 3, 4])
    def test_shows_each_attempt_once(self, tried: RegistryUnderTest, limit: int) -> None:
        whole, cursor, seen = read(tried, "auditor").denials, None, []
        while True:
            page = read(tried, "auditor", limit=limit, cursor=cursor)
            seen += page.denials
            cursor = page.next_cursor
            if cursor is None:
                break
            assert len(page.denials) == limit
        assert tuple(seen) == whole

    def test_by_time(self, tried: RegistryUnderTest) -> None:
        assert len(read(tried, since="2026-06-02T13:00:00Z").denials) == 1
        assert len(read(tried, until="2026-06-02T12:00:00Z").denials) == 1

    def test_refuses_a_cursor_of_another_list(self, tried: RegistryUnderTest) -> None:
        refused(tried.client("auditor").get(f"{PATH}?cursor=WyJhIl0"), 422, "input.invalid", "cursor")


class TestPage:
    def test_is_among_the_pages_of_a_subject(self, tried: RegistryUnderTest) -> None:
        browser = Browser(tried).signed_in("subject")
        home = browser.get("/").headers["location"].removeprefix("/console")
        assert 'href="/console/denials"' in browser.get(home).text
        page = browser.get("/denials")
        assert page.status_code == 200
        assert "demo/fox@1" in page.text
        assert "shrine" not in page.text
        assert "Another concept in the same attempt did not allow it." in page.text

    def test_is_in_japanese_too(self, tried: RegistryUnderTest) -> None:
        page = Browser(tried, language="ja").signed_in("subject").get("/denials").text
        plain_ja = [rule.plain_ja for attempt in read(tried).denials for rule in attempt.rules if rule.plain_ja]
        assert "拒否された試み" in page
        assert plain_ja
        assert all(text in page for text in plain_ja)

    def test_opens_no_other_page_to_a_subject(self, tried: RegistryUnderTest) -> None:
        browser = Browser(tried).signed_in("subject")
        for path in ("/accounts", "/generations", "/concepts", "/queue", "/log"):
            assert browser.get(path).status_code == 403, path


@pytest.mark.parametrize("domain", ["training", "approval", "composition"])
def test_everything_that_policy_can_refuse_has_a_name_in_the_ledger(domain: str) -> None:
    """One that has none would be logged and could be read by nobody."""
    actions = re.findall(r'"(\w+)"', (SHIPPED_POLICIES / domain / "actions.cedarschema").read_text())
    assert actions
    assert set(actions) <= {act.value for act in DeniedAct}


class TestTrainings:
    """The fox's consent is withdrawn, the shrine's is not."""

    @pytest.fixture
    def wanted(self, registry: RegistryUnderTest) -> tuple[RegistryUnderTest, WantedTraining]:
        steps = Steps(registry)
        accepted(steps.post("owner", "/v1/subjects", binding(HARU)))
        fox, shrine = consent(steps, FOX, HARU), consent(steps, SHRINE, OTHER)
        licences = {concept: steps.licence(concept)["id"] for concept in (FOX, SHRINE)}
        accepted(registry.client("owner").post(f"/v1/consents/{fox}/withdrawal", json={"reason": "asked to"}))
        concepts = tuple(
            WantedConcept(concept=concept, consents=(held,), licences=(licences[concept],))
            for concept, held in ((FOX, fox), (SHRINE, shrine))
        )
        return registry, WantedTraining(concepts=concepts)

    def report(self, registry: RegistryUnderTest, wanted: WantedTraining, name: str = "trainer") -> TrainingDenied:
        with Client(BASE_URL, registry.credentials[name], transport=registry.transport) as client:
            return client.report_denied_training(wanted)

    def test_whom_a_concept_is_about_reads_who_wanted_to_train_it(
        self, wanted: tuple[RegistryUnderTest, WantedTraining]
    ) -> None:
        registry, training = wanted
        self.report(registry, training)
        page = read(registry)
        assert acts(page) == [(DeniedAct.TRAIN, ("demo/fox",), 1)]
        (attempt,) = page.denials
        assert (attempt.by, attempt.use, attempt.images) == ("demo/trainer", None, None)
        assert told(attempt) == {(DenialAbout.CONCEPT, "training.consent")}
        assert all(rule.plain and rule.plain_ja for rule in attempt.rules)
        assert "shrine" not in registry.client("subject").get(PATH).text

    def test_of_another_concept_it_says_only_that_it_was_refused(
        self, wanted: tuple[RegistryUnderTest, WantedTraining]
    ) -> None:
        registry, training = wanted
        self.report(registry, training)
        shrine, fox = sorted(read(registry, "auditor").denials, key=lambda attempt: -len(attempt.concepts[0]))
        assert (shrine.concepts, told(shrine)) == (("demo/shrine",), {(DenialAbout.OTHER, None)})
        assert fox.concepts == ("demo/fox",)

    def test_who_has_not_the_role_is_told_of_as_such(self, wanted: tuple[RegistryUnderTest, WantedTraining]) -> None:
        registry, training = wanted
        self.report(registry, training.model_copy(update={"concepts": training.concepts[:1]}), "owner")
        (attempt,) = read(registry).denials
        assert "training.role" in {rule.rule for rule in attempt.rules}

    def test_a_concept_is_named_once(self, registry: RegistryUnderTest) -> None:
        twice = {"concepts": [{"concept": FOX}, {"concept": FOX}]}
        refused(registry.client("trainer").post("/v1/trainings/denied", json=twice), 422, "input.invalid")

    def test_what_policy_permits_is_no_refusal(self, wanted: tuple[RegistryUnderTest, WantedTraining]) -> None:
        registry, training = wanted
        with pytest.raises(Conflict, match="permits"):
            self.report(registry, training.model_copy(update={"concepts": training.concepts[1:]}))
        assert read(registry, "auditor").denials == ()
