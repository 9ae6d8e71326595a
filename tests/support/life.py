"""A version that rests on one person's consent, and what happens to that person, for tests.

life = Life(registry)
life.happens()                  # the person dies, by default
life.answers(answer())          # the estate confirms
life.reinstated()
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from support.governed import EVIDENCE, SALT
from support.registry import START, RegistryUnderTest
from support.versions import FOX, Steps, accepted

from sdk.spec.consent_events import ConsentAnswer, ConsentEvent, LifeEvent, LifeEventReport
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.subjects import SubjectBinding
from sdk.spec.terms import AgeClass, Capacity, Expression

HARU = "subject-haru"
SHRINE = ConceptId("demo/shrine")
OF_AGE = START.date() + timedelta(days=20)
CHILD: dict[str, Any] = {
    "subject": HARU,
    "age_class": AgeClass.MINOR,
    "of_age_on": OF_AGE,
    "expressed_as": Capacity.GUARDIAN,
    "expressed_on": date(2026, 5, 1),
}


def report(event: LifeEvent = LifeEvent.DIED, **changes: Any) -> LifeEventReport:
    members = {"pseudonym": HARU, "event": event, "happened_on": START.date(), "evidence": EVIDENCE, "salt": SALT}
    return LifeEventReport(**members | changes)


def answer(
    capacity: Capacity = Capacity.ESTATE, event: ConsentEvent = ConsentEvent.RECONFIRM, **changes: Any
) -> ConsentAnswer:
    members = {
        "answer": event,
        "expressed_by": "heir-0001",
        "expressed_as": capacity,
        "expressed_on": START.date(),
        "expressed_through": Expression.SIGNATURE,
        "evidence": EVIDENCE,
        "salt": SALT,
    }
    return ConsentAnswer(**members | changes)


class Life:
    """A version that rests on the consent of one person."""

    def __init__(self, registry: RegistryUnderTest, **record: Any) -> None:
        self.registry, self.steps = registry, Steps(registry)
        self.consent = RecordId(self.steps.consent(FOX, **{"subject": HARU} | record)["id"])
        self.version = self.steps.approved(FOX, consents=(self.consent,))

    def status(self) -> tuple[str, str]:
        """Of the consent, and of the version."""
        consent = self.steps.get("owner", f"/v1/consents/{self.consent}")
        return consent["status"], self.steps.get("owner", self.version.path)["status"]

    def happens(self, event: LifeEvent = LifeEvent.DIED, name: str = "owner", **changes: Any) -> Any:
        return self.steps.post(name, "/v1/subjects/life-events", report(event, **changes))

    def answers(self, given: ConsentAnswer, name: str = "owner") -> Any:
        return self.steps.post(name, f"/v1/consents/{self.consent}/answers", given)

    def reinstated(self, name: str = "reviewer") -> Any:
        return self.registry.client(name).post(f"/v1/consents/{self.consent}/reinstatement")

    def bind(self, capacity: Capacity, name: str = "subject") -> None:
        principal = self.registry.principals[name]
        binding = SubjectBinding(pseudonym=HARU, principal=principal, capacity=capacity, evidence=EVIDENCE)
        accepted(self.steps.post("owner", "/v1/subjects", binding))
