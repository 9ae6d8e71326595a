"""`imprimatur show`, `approve`, `reject`, `revoke`: what is signed, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from support.governed import World, licence_evidence, licence_grant
from support.workshop import Workshop

from sdk.cli.application import run
from sdk.signing.trust import TrustRole, verify_role
from sdk.spec.bundle import VersionStatus
from sdk.spec.statements import (
    ApprovalPredicate,
    RejectionPredicate,
    RevocationPredicate,
    parse_predicate,
    parse_statement,
)


class TestReview:
    def signed(self, workshop: Workshop) -> Any:
        (envelope,) = workshop.registry.reviews
        assert verify_role(envelope, workshop.registry.trust, TrustRole.APPROVAL) == {"demo/reviewer"}
        statement = parse_statement(envelope.payload, envelope.payload_type)
        world = workshop.registry.worlds["demo/fox"]
        assert [subject.content for subject in statement.subject] == [world.manifest.digest]
        return statement

    def test_approve_signs_the_verified_manifest_and_terms(self, reviewer: Workshop) -> None:
        reviewer.registry.status["demo/fox"] = VersionStatus.SUBMITTED
        assert run(["approve", "demo/fox@1", "--comment", "fine"]) == 0
        predicate = parse_predicate(self.signed(reviewer), ApprovalPredicate)
        assert (predicate.number, predicate.reviewer, predicate.comment) == (1, "demo/reviewer", "fine")
        assert predicate.terms == reviewer.registry.worlds["demo/fox"].terms

    def test_reject_and_revoke(self, reviewer: Workshop) -> None:
        assert run(["reject", "demo/fox@1", "--reason", "blurred"]) == 0
        assert parse_predicate(self.signed(reviewer), RejectionPredicate).reason == "blurred"
        reviewer.registry.reviews.clear()
        assert run(["revoke", "demo/fox@1", "--reason", "harm"]) == 0
        assert parse_predicate(self.signed(reviewer), RevocationPredicate).reason == "harm"

    def test_nothing_is_signed_about_what_does_not_verify(
        self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        world: World = reviewer.registry.worlds["demo/fox"]
        world.attestation = world.attest("app")
        assert run(["approve", "demo/fox@1"]) == 1
        assert "training" in capsys.readouterr().err
        assert reviewer.registry.reviews == []

    def test_show_lists_terms_files_and_approvers(self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["show", "demo/fox@1"]) == 0
        out = capsys.readouterr().out
        for expected in (
            "demo/fox@1 (subject) is approved",
            "advertising",
            "learned_embeds",
            "Approved by demo/reviewer",
        ):
            assert expected in out

    def test_show_lists_what_a_licence_narrows(self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        world: World = reviewer.registry.worlds["demo/fox"]
        narrow = licence_grant(prohibited_uses=("political",), not_with=("demo/owl",), max_images=500)
        world.licences = (licence_evidence(narrow),)
        reviewer.registry.status["demo/fox"] = VersionStatus.SUBMITTED
        assert run(["show", "demo/fox@1"]) == 0
        out = capsys.readouterr().out
        for limit in ("never for   political", "never with  demo/owl", "images      at most 500"):
            assert limit in out

    def test_show_says_why_a_version_cannot_be_used(
        self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reviewer.registry.status["demo/fox"] = VersionStatus.SUBMITTED
        assert run(["show", "demo/fox"]) == 0
        assert "Not usable: demo/fox@1 is submitted" in capsys.readouterr().out

    def test_refuses_what_is_no_reference(self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["show", "fox"]) == 1
        assert "acme/fox" in capsys.readouterr().err
