"""Tests of registry.versions.reinstatement: what is approved again when a consent holds again, and what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.at_once import one_after_the_other
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, Submitted, accepted, caller, refused

from registry.log import service as log
from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.reinstatement import reinstate_resting_on
from sdk.errors import Conflict
from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import ConceptId, TenantName, parse_version_ref
from sdk.spec.log_entry import AuditEventType
from sdk.verify import verify_version

DEMO = TenantName("demo")


def suspend(registry: RegistryUnderTest, version: Submitted) -> None:
    """As a consent that has to be confirmed anew does: the record itself still stands."""
    with registry.runtime.transaction(DEMO) as session:
        loaded = service.load(session, DEMO, version.concept, version.number)
        service.move(session, registry.runtime, loaded, VersionEvent.SUSPEND)
        who = caller(registry, "owner").principal
        log.append(session, registry.runtime, event=AuditEventType.VERSION_SUSPENDED, actor=who, subject=version.name)


def reinstate(registry: RegistryUnderTest, version: Submitted) -> list[str]:
    with registry.runtime.transaction(DEMO) as session:
        back = reinstate_resting_on(session, registry.runtime, caller(registry, "owner"), version.consent)
    return [one.name for one in back]


class TestReinstate:
    def test_approves_again_under_the_approvals_that_were_given(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        suspend(registry, version)
        assert steps.get("app", version.path)["status"] == "suspended"
        assert reinstate(registry, version) == ["demo/fox@1"]
        assert steps.events(version.name)[-1] == ("version:reinstated", "demo/owner")
        bundle = VersionBundle.model_validate(steps.get("app", "/v1/resolve?ref=demo/fox"))
        trust, now = registry.runtime.trust_root, registry.clock.now
        listed = registry.client(None).get("/v1/status/demo/0").content
        ref = parse_version_ref("demo/fox")
        assert verify_version(bundle, ref=ref, trust=trust, now=now, status_list=listed).approvers

    def test_once(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).approved()
        suspend(registry, version)
        assert reinstate(registry, version) == ["demo/fox@1"]
        assert reinstate(registry, version) == []

    def test_not_while_a_consent_of_it_does_not_hold(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        accepted(steps.withdraw(version))
        with pytest.raises(Conflict, match="is withdrawn; name the one that holds again"):
            reinstate(registry, version)
        assert steps.get("app", version.path)["status"] == "suspended"

    @pytest.mark.parametrize("named", ["earlier", "renewed"])
    def test_not_after_a_consent_of_before_its_renewal_was_withdrawn(
        self, registry: RegistryUnderTest, named: str
    ) -> None:
        steps = Steps(registry)
        version = steps.approved()
        renewed = steps.consent(FOX, terms=steps.terms(valid_until=registry.clock.now + timedelta(days=200)))["id"]
        asked = accepted(steps.renewal(version, consents=(renewed,)))
        accepted(steps.review_renewal(version, asked["terms"]))
        accepted(steps.withdraw(version))
        record, says = (version.consent, "is withdrawn") if named == "earlier" else (renewed, "ask for a renewal")
        answer = registry.client("reviewer").post(f"/v1/consents/{record}/reinstatement")
        refused(answer, 409, "resource.conflict", says)
        refused(steps.compose(version), 403, "policy.denied")

    def test_not_beside_another_approved_version(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first = steps.approved()
        suspend(registry, first)
        steps.approved(embedding=b"2", consents=first.manifest.consents)
        assert reinstate(registry, first) == []

    def test_takes_the_newest_of_two(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first = steps.approved()
        suspend(registry, first)
        second = steps.approved(embedding=b"2", consents=first.manifest.consents)
        suspend(registry, second)
        assert reinstate(registry, first) == ["demo/fox@2"]

    def test_not_what_was_revoked(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        suspend(registry, version)
        accepted(steps.revoke(version))
        assert reinstate(registry, version) == []

    def test_waits_for_a_revocation_and_is_then_too_late(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).approved()
        suspend(registry, version)
        who = caller(registry, "owner")

        def move(event: VersionEvent) -> object:
            return lambda session: service.move(
                session, registry.runtime, service.load(session, DEMO, version.concept, 1), event
            )

        late = one_after_the_other(
            registry,
            move(VersionEvent.REVOKE),  # type: ignore[arg-type]
            lambda session: reinstate_resting_on(session, registry.runtime, who, version.consent),
        )
        assert late == ()

    def test_of_another_concept_too(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        both = (ConceptId("demo/fox"), ConceptId("demo/den"))
        consent = steps.consent(both[0], covers=both)["id"]
        made = [steps.approved(name, embedding=name.encode(), consents=(consent,)) for name in both]
        for version in made:
            suspend(registry, version)
        assert reinstate(registry, made[0]) == ["demo/den@1", "demo/fox@1"]


class TestMoveHasNoOtherWay:
    @pytest.mark.parametrize("event", [VersionEvent.APPROVE, VersionEvent.ENDORSE, VersionEvent.SUPERSEDE])
    def test_out_of_suspension(self, registry: RegistryUnderTest, event: VersionEvent) -> None:
        version = Steps(registry).approved()
        suspend(registry, version)
        with registry.runtime.transaction(DEMO) as session:
            loaded = service.load(session, DEMO, version.concept, 1)
            with pytest.raises(Conflict, match="possible is: reinstate, revoke"):
                service.move(session, registry.runtime, loaded, event)
