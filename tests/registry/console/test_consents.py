"""The pages about consents: for the person first of all, who reads, keeps, confirms and withdraws without asking anybody."""

from __future__ import annotations

import json
from datetime import timedelta
from html import unescape

import pytest
from support.console import Browser
from support.governed import EVIDENCE, SALT
from support.registry import START, RegistryUnderTest
from support.versions import FOX, Steps, accepted

from registry.console.language import Language
from sdk.consent_receipt import verify_consent_receipt
from sdk.spec.canonical import parse_wire
from sdk.spec.consent_events import ConsentReceipt, LifeEvent, LifeEventReport
from sdk.spec.ids import PrincipalId
from sdk.spec.subjects import SubjectBinding
from sdk.spec.terms import AgeClass, Capacity

HARU = "subject-haru"


class Person:
    """A person with a credential, a consent about them, and a version that rests on it."""

    def __init__(self, registry: RegistryUnderTest) -> None:
        self.steps = Steps(registry)
        self.consent = self.steps.consent(FOX, subject=HARU)["id"]
        self.other = self.steps.consent(FOX)["id"]
        self.version = self.steps.approved(FOX, consents=(self.consent,))
        binding = SubjectBinding(pseudonym=HARU, principal=PrincipalId("demo/subject"), capacity=Capacity.SELF)
        accepted(self.steps.post("owner", "/v1/subjects", binding))
        self.browser = Browser(registry).signed_in("subject")
        self.path = f"/consents/{self.consent}"

    def status(self) -> tuple[str, str]:
        consent = self.steps.get("owner", f"/v1/consents/{self.consent}")["status"]
        return consent, self.steps.get("owner", self.version.path)["status"]


class TestPerson:
    def test_is_led_to_what_is_about_them_and_sees_nothing_else(self, registry: RegistryUnderTest) -> None:
        person = Person(registry)
        home = person.browser.get("/")
        assert (home.status_code, home.headers["location"]) == (303, "/console/consents")
        listed = person.browser.get("/consents").text
        assert (person.consent in listed, person.other in listed) == (True, False)
        assert person.browser.get(f"/consents/{person.other}").status_code == 404
        for path in ("/concepts", "/queue", "/generations", "/log", f"/concepts/{FOX}/versions/1"):
            assert person.browser.get(path).status_code == 403, path

    def test_withdraws_with_one_form(self, registry: RegistryUnderTest) -> None:
        person = Person(registry)
        fields = {"form_token": person.browser.token(person.path), "reason": "no more"}
        answer = person.browser.post(f"{person.path}/withdrawal", fields)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/console{person.path}")
        assert person.status() == ("withdrawn", "suspended")
        shown = person.browser.get(person.path).text
        assert "no more" in shown
        assert "/withdrawal" not in shown

    def test_a_form_of_another_site_changes_nothing(self, registry: RegistryUnderTest) -> None:
        person = Person(registry)
        assert person.browser.post(f"{person.path}/withdrawal", {"form_token": "x", "reason": "x"}).status_code == 403
        assert person.status() == ("given", "approved")

    def test_keeps_a_receipt_that_verifies(self, registry: RegistryUnderTest) -> None:
        person = Person(registry)
        answer = person.browser.get(f"{person.path}/receipt.json")
        assert answer.headers["content-disposition"] == f'attachment; filename="{person.consent}.json"'
        received = parse_wire(ConsentReceipt, answer.content, "receipt")
        assert verify_consent_receipt(received, registry.runtime.trust_root).id == person.consent
        assert json.loads(answer.content)["record"]["subject"] == HARU

    @pytest.mark.parametrize("language", list(Language))
    def test_confirms_and_a_reviewer_reinstates(self, registry: RegistryUnderTest, language: Language) -> None:
        person = Person(registry)
        person.browser.language = language.value
        event = LifeEventReport(
            pseudonym=HARU, event=LifeEvent.ESTATE_CHANGED, happened_on=START.date(), evidence=EVIDENCE, salt=SALT
        )
        accepted(person.steps.post("owner", "/v1/subjects/life-events", event))
        shown = person.browser.get(person.path).text
        assert ("相続・遺産管理者が替わりました" in shown) is (language is Language.JAPANESE)
        estate = SubjectBinding(
            pseudonym=HARU, principal=PrincipalId("demo/subject"), capacity=Capacity.ESTATE, evidence=EVIDENCE
        )
        release = {"pseudonym": HARU, "principal": "demo/subject", "reason": "now the estate"}
        registry.client("owner").post("/v1/subjects/release", json=release).raise_for_status()
        accepted(person.steps.post("owner", "/v1/subjects", estate))
        fields = {"form_token": person.browser.token(person.path), "given": "re-confirm", "capacity": "estate"}
        assert person.browser.post(f"{person.path}/answer", fields).status_code == 303
        assert person.status() == ("given", "suspended")
        reviewer = Browser(registry).signed_in("reviewer")
        token = {"form_token": reviewer.token(person.path)}
        assert reviewer.post(f"{person.path}/reinstatement", token).status_code == 303
        assert person.status() == ("given", "approved")
        assert "/reinstatement" not in reviewer.get(person.path).text  # nothing is suspended any more

    def test_a_guardian_of_who_came_of_age_is_offered_to_refuse_alone(self, registry: RegistryUnderTest) -> None:
        steps, day = Steps(registry), START.date() + timedelta(days=5)
        minor = {"age_class": AgeClass.MINOR, "expressed_as": Capacity.GUARDIAN, "of_age_on": day}
        consent = steps.consent(FOX, subject=HARU, expressed_on=START.date(), **minor)["id"]
        guardian = {"pseudonym": HARU, "principal": PrincipalId("demo/subject"), "capacity": Capacity.GUARDIAN}
        accepted(steps.post("owner", "/v1/subjects", SubjectBinding(**guardian, evidence=EVIDENCE)))
        registry.clock.advance(days=6)
        shown = Browser(registry).signed_in("subject").get(f"/consents/{consent}").text
        assert ('value="re-confirm"' in shown, 'value="refuse"' in shown) == (False, True)

    def test_is_told_why_an_answer_does_not_count(self, registry: RegistryUnderTest) -> None:
        person = Person(registry)
        fields = {"form_token": person.browser.token(person.path), "given": "re-confirm", "capacity": "agent"}
        refused = person.browser.post(f"{person.path}/answer", fields)
        assert refused.status_code == 403
        assert "does not speak for this person as agent" in unescape(refused.text)


class TestMember:
    def test_who_only_reads_is_offered_no_form(self, registry: RegistryUnderTest) -> None:
        person = Person(registry)
        shown = Browser(registry).signed_in("auditor").get(person.path).text
        assert (HARU in shown, "/withdrawal" in shown, "/reinstatement" in shown) == (True, False, False)

    def test_an_application_has_no_business_here(self, registry: RegistryUnderTest) -> None:
        person = Person(registry)
        app = Browser(registry).signed_in("app")
        assert [app.get(path).status_code for path in ("/consents", person.path)] == [403, 403]
