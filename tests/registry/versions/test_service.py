"""Tests of registry.versions.service and submission at the same moment: numbers, stale values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session
from support.at_once import one_after_the_other
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, caller

from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.submission import submit
from registry.versions.version import Version
from sdk.errors import Conflict
from sdk.spec.api import VersionSubmission
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import TenantName
from sdk.spec.manifest import ConceptKind, ConceptManifest, encode_manifest

DEMO = TenantName("demo")


class TestMove:
    def test_counts_reviewers_and_refuses_a_value_that_another_review_made_stale(
        self, registry: RegistryUnderTest
    ) -> None:
        steps = Steps(registry)
        accepted(steps.review(steps.submitted(kind=ConceptKind.PERSON)))
        with registry.runtime.transaction(DEMO) as session:
            loaded = service.load(session, DEMO, FOX, 1)
            assert service.move(session, registry.runtime, loaded, VersionEvent.ENDORSE) is VersionStatus.IN_REVIEW
            assert service.load(session, DEMO, FOX, 1).approvals == 2
            with pytest.raises(Conflict, match="changed at the same moment"):
                service.move(session, registry.runtime, loaded, VersionEvent.ENDORSE)

    def test_refuses_what_the_table_does_not_allow(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        with registry.runtime.transaction(DEMO) as session, pytest.raises(Conflict, match="suspend is not possible"):
            service.move(session, registry.runtime, service.load(session, DEMO, FOX, 1), VersionEvent.SUSPEND)


class TestSubmitAtOnce:
    def submitting(self, registry: RegistryUnderTest, manifest: ConceptManifest) -> Callable[[Session], Version]:
        attestation = Steps(registry).attest(manifest)
        submission = VersionSubmission(manifest=encode_manifest(manifest), attestation=attestation)
        who = caller(registry, "training-service")
        return lambda session: submit(session, registry.runtime, who, FOX, submission)

    def test_two_manifests_get_two_numbers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        acts = [self.submitting(registry, steps.manifest(embedding=content)) for content in (b"1", b"2")]
        late = one_after_the_other(registry, *acts)
        assert isinstance(late, Version)
        assert late.number == 2

    def test_one_manifest_gets_one_number(self, registry: RegistryUnderTest) -> None:
        act = self.submitting(registry, Steps(registry).manifest())
        late = one_after_the_other(registry, act, act)
        assert isinstance(late, Version)
        assert late.number == 1
