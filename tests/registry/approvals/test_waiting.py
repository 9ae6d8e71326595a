"""Two acts at the same moment, one held open: the second waits for the first, and then exactly one has won."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session
from support.at_once import one_after_the_other
from support.registry import RegistryUnderTest
from support.versions import (
    Steps,
    Submitted,
    accepted,
    caller,
)

from registry.approvals import service
from registry.versions.withdrawal import withdraw_consent
from sdk.errors import Conflict
from sdk.spec.envelope import Envelope
from sdk.spec.manifest import ConceptKind


class TestWaiting:
    def reviewing(
        self, registry: RegistryUnderTest, version: Submitted, name: str
    ) -> Callable[[Session], service.Outcome]:
        envelope = Steps(registry).approval(version, name)
        return self.acting(registry, service.review, version, name, envelope)

    def revoking(
        self, registry: RegistryUnderTest, version: Submitted, name: str
    ) -> Callable[[Session], service.Outcome]:
        envelope = Steps(registry).revocation(version, name)
        return self.acting(registry, service.revoke, version, name, envelope)

    def acting(
        self,
        registry: RegistryUnderTest,
        act: Callable[..., service.Outcome],
        version: Submitted,
        name: str,
        envelope: Envelope,
    ) -> Callable[[Session], service.Outcome]:
        who = caller(registry, name)
        return lambda session: act(session, registry.runtime, who, version.concept, version.number, envelope)

    def test_two_approvals(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        acts = [self.reviewing(registry, version, name) for name in ("reviewer", "second-reviewer")]
        late = one_after_the_other(registry, *acts)
        assert isinstance(late, Conflict)
        assert "changed at the same moment" in late.message
        events = [event for event, _ in steps.events(version.name)]
        assert events.count("version:approved") == 1
        assert events.count("approval:signed") == 1

    def test_two_approvals_of_a_person_do_not_both_count_as_the_first(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(kind=ConceptKind.PERSON)
        acts = [self.reviewing(registry, version, name) for name in ("reviewer", "second-reviewer")]
        assert isinstance(one_after_the_other(registry, *acts), Conflict)
        assert accepted(steps.review(version, "second-reviewer"))["approvals"] == 2

    def test_two_versions_of_one_concept(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first, second = steps.submitted(embedding=b"1"), steps.submitted(embedding=b"2")
        acts = [self.reviewing(registry, v, name) for v, name in ((first, "reviewer"), (second, "second-reviewer"))]
        late = one_after_the_other(registry, *acts)
        assert isinstance(late, Conflict)
        assert "another version of demo/fox was approved" in late.message

    def test_two_revocations(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        acts = [self.revoking(registry, version, name) for name in ("reviewer", "second-reviewer")]
        assert isinstance(one_after_the_other(registry, *acts), Conflict)
        assert [event for event, _ in steps.events(version.name)].count("version:revoked") == 1

    def test_an_approval_waits_for_a_withdrawal_and_is_then_refused(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).submitted()
        who, consent = caller(registry, "owner"), version.consent
        late = one_after_the_other(
            registry,
            lambda session: withdraw_consent(session, registry.runtime, who, consent, "asked to"),
            self.reviewing(registry, version, "reviewer"),
        )
        assert isinstance(late, service.Outcome)
        assert late.decision is not None
        assert [reason.rule for reason in late.decision.reasons] == ["approval.consent"]

    def test_a_withdrawal_waits_for_an_approval_and_then_suspends_it(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        who, consent = caller(registry, "owner"), version.consent
        one_after_the_other(
            registry,
            self.reviewing(registry, version, "reviewer"),
            lambda session: withdraw_consent(session, registry.runtime, who, consent, "asked to"),
        )
        assert steps.get("owner", version.path)["status"] == "suspended"
