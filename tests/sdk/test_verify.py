"""The verification procedure: for each step, a bundle that lacks just that property, and just that error."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.governed import (
    EMBEDDING,
    FOX,
    NOW,
    World,
    consent_evidence,
    consent_record,
    fixed_signer,
    make_manifest,
    sign_about,
    use_terms,
)
from support.memory_log import MemoryLog
from support.verifying import verify

from sdk.errors import (
    DigestMismatch,
    FormatError,
    LogForked,
    NotApproved,
    ProofInvalid,
    SignatureInvalid,
    StatusListInvalid,
    ThresholdNotMet,
    TrustRootInvalid,
    VerificationError,
)
from sdk.spec.bundle import ApprovalEvidence, VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, VersionRef
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ConceptKind, encode_manifest
from sdk.spec.statements import RejectionPredicate
from sdk.verify import CLOCK_SKEW, verify_artefact, verify_submission, verify_version

REF = VersionRef(concept=FOX)


@pytest.fixture
def world() -> World:
    made = World()
    made.approve()
    return made


class TestWholeVersion:
    def test_accepts_a_version_whose_proofs_hold(self, world: World) -> None:
        version = verify(world)
        assert version.name == "demo/fox@1"
        assert version.digest == world.manifest.digest
        assert version.approvers == (PrincipalId("demo/reviewer"),)
        assert version.approval_indices == (2,)
        assert version.checkpoint.tree_size == 3

    @pytest.mark.parametrize("ref", ["demo/fox", "demo/fox@1", "demo/fox@stable"])
    def test_accepts_every_reference_that_means_it(self, world: World, ref: str) -> None:
        assert verify(world, ref=ref).name == "demo/fox@1"

    def test_accepts_reference_by_its_digest(self, world: World) -> None:
        assert verify(world, ref=f"demo/fox@{world.manifest.digest}").digest == world.manifest.digest

    def test_accepts_receipts_of_different_checkpoints(self, world: World) -> None:
        early = world.log.receipt(world.submission_index, size=2)
        assert len(verify(world, world.bundle(submission_receipt=early)).notes) == 2

    def test_submission_verifies_without_any_approval(self) -> None:
        bundle = World().bundle(status=VersionStatus.SUBMITTED)
        version = verify_submission(bundle, ref=REF, trust=World().trust, now=NOW)
        assert version.approvers == ()


class TestStep1TrustRoot:
    def test_rejects_expired_trust_root(self, world: World) -> None:
        with pytest.raises(TrustRootInvalid, match="expired"):
            late, listed = world.trust.expires_at, world.status_list(at=world.trust.expires_at)
            verify_version(world.bundle(), ref=REF, trust=world.trust, now=late, status_list=listed)


class TestStep2Checkpoints:
    def test_rejects_checkpoint_of_another_log(self, world: World) -> None:
        other = MemoryLog("log.other/x", fixed_signer("log"), NOW)
        other.contents = world.log.contents
        with pytest.raises(ProofInvalid, match=r"log\.other/x"):
            verify(world, world.bundle(checkpoint=other.note().decode()))

    def test_rejects_checkpoint_signed_by_another_key(self, world: World) -> None:
        world.log.signer = fixed_signer("app")
        note = world.log.note().decode()
        world.log.signer = fixed_signer("log")
        with pytest.raises(SignatureInvalid, match="log key"):
            verify(world, world.bundle(checkpoint=note))

    def test_rejects_two_roots_of_one_size(self, world: World) -> None:
        other = World()
        other.approve("second-reviewer")
        with pytest.raises(LogForked, match="two roots"):
            verify(world, world.bundle(checkpoint=other.log.note().decode()))


class TestStep3Manifest:
    def test_rejects_manifest_that_is_not_canonical(self, world: World) -> None:
        spaced = encode_manifest(world.manifest).replace(b'{"', b'{ "', 1)
        with pytest.raises(FormatError, match="RFC 8785"):
            verify(world, world.bundle(manifest=spaced))

    def test_rejects_another_concept(self, world: World) -> None:
        with pytest.raises(VerificationError, match="asked for demo/owl"):
            verify(world, ref="demo/owl")

    def test_rejects_bundle_labelled_as_another_concept(self, world: World) -> None:
        with pytest.raises(VerificationError, match="the manifest is of demo/fox"):
            verify(world, world.bundle(concept=ConceptId("demo/owl")), ref="demo/owl")

    def test_rejects_another_number(self, world: World) -> None:
        with pytest.raises(VerificationError, match="demo/fox@2"):
            verify(world, ref="demo/fox@2")

    def test_rejects_another_digest(self, world: World) -> None:
        with pytest.raises(DigestMismatch):
            verify(world, ref=f"demo/fox@{Digest.of(b'other')}")


class TestStep4TrainingAttestation:
    def test_rejects_attestation_by_a_key_of_another_role(self, world: World) -> None:
        with pytest.raises(SignatureInvalid, match="training"):
            verify(world, world.bundle(training_attestation=world.attest("reviewer")))

    def test_rejects_attestation_about_another_manifest(self, world: World) -> None:
        other = World(manifest=make_manifest(b"other"))
        with pytest.raises(VerificationError, match="about something else"):
            verify(world, world.bundle(training_attestation=other.attestation))

    def test_rejects_attestation_of_another_training(self, world: World) -> None:
        record = world.manifest.training.model_copy(update={"seed": 8})
        with pytest.raises(VerificationError, match="another training"):
            verify(world, world.bundle(training_attestation=world.attest(record=record)))

    def test_rejects_attestation_of_another_concept(self, world: World) -> None:
        attestation = world.attest(concept=ConceptId("demo/owl"))
        with pytest.raises(VerificationError, match="another training"):
            verify(world, world.bundle(training_attestation=attestation))


class TestStep5Submission:
    def test_rejects_receipt_that_does_not_lead_to_the_root(self, world: World) -> None:
        receipt = world.log.receipt(world.submission_index)
        broken = receipt.model_copy(update={"inclusion": (bytes(32), *receipt.inclusion[1:])})
        with pytest.raises(ProofInvalid, match="does not lead"):
            verify(world, world.bundle(submission_receipt=broken))

    def test_rejects_receipt_of_another_entry(self, world: World) -> None:
        with pytest.raises(ProofInvalid, match="not version:submitted"):
            verify(world, world.bundle(submission_receipt=world.log.receipt(0)))

    def test_rejects_submission_of_another_manifest(self, world: World) -> None:
        other = {"manifest": Digest.of(b"other")}
        index = world.log.append(AuditEventType.VERSION_SUBMITTED, world.name, evidence=other)
        with pytest.raises(ProofInvalid, match="not version:submitted"):
            verify(world, world.bundle(submission_receipt=world.log.receipt(index)))

    @pytest.mark.parametrize(
        ("event", "subject"),
        [(AuditEventType.VERSION_REVOKED, "demo/fox@1"), (AuditEventType.VERSION_SUBMITTED, "demo/fox@2")],
    )
    def test_rejects_an_entry_that_says_something_else_of_the_manifest(
        self, world: World, event: AuditEventType, subject: str
    ) -> None:
        index = world.log.append(event, subject, evidence={"manifest": world.manifest.digest})
        with pytest.raises(ProofInvalid, match="not version:submitted of demo/fox@1"):
            verify(world, world.bundle(submission_receipt=world.log.receipt(index)))

    @pytest.mark.parametrize("changed", [{"owner": PrincipalId("demo/trainer")}, {"approvals_required": 2}])
    def test_rejects_an_owner_or_a_threshold_that_the_log_does_not_say(
        self, world: World, changed: dict[str, object]
    ) -> None:
        with pytest.raises(ProofInvalid, match=f"{next(iter(changed))} of demo/fox@1"):
            verify(world, world.bundle(**changed))


class TestStep6Terms:
    def test_rejects_records_that_the_manifest_does_not_name(self, world: World) -> None:
        with pytest.raises(VerificationError, match="not those that its manifest names"):
            verify(world, world.bundle(consents=(consent_evidence(name="b"),)))

    def test_rejects_missing_licence(self, world: World) -> None:
        with pytest.raises(VerificationError, match="not those that its manifest names"):
            verify(world, world.bundle(licences=()))

    def test_rejects_consent_that_was_changed(self, world: World) -> None:
        wider = consent_record(terms=use_terms(territories=("WORLD",)))
        changed = world.consents[0].model_copy(update={"record": wider})
        with pytest.raises(DigestMismatch, match="consent con_"):
            verify(world, world.bundle(consents=(changed,)))

    def test_rejects_licence_that_was_changed(self, world: World) -> None:
        licence = world.licences[0]
        changed = licence.model_copy(update={"grant": licence.grant.model_copy(update={"attribution": "nobody"})})
        with pytest.raises(DigestMismatch, match="licence lic_"):
            verify(world, world.bundle(licences=(changed,)))


class TestStep7Status:
    @pytest.mark.parametrize("status", [s for s in VersionStatus if s is not VersionStatus.APPROVED])
    def test_rejects_every_status_but_approved_and_says_what_to_do(self, world: World, status: VersionStatus) -> None:
        with pytest.raises(NotApproved, match=f"demo/fox@1 is {status.value}, not approved: .+"):
            verify(world, world.bundle(status=status))


class TestStep8Approvals:
    def test_rejects_version_without_approval_although_the_registry_says_approved(self) -> None:
        with pytest.raises(ThresholdNotMet, match="0 of 1"):
            verify(World())

    def test_rejects_too_few_reviewers(self) -> None:
        world = World(approvals_required=2)
        world.approve()
        with pytest.raises(ThresholdNotMet, match="1 of 2"):
            verify(world)

    def test_two_approvals_of_one_reviewer_count_once(self) -> None:
        world = World(approvals_required=2)
        world.approve()
        world.approve(comment="again")
        with pytest.raises(ThresholdNotMet, match="1 of 2"):
            verify(world)

    def test_two_reviewers_meet_a_threshold_of_two(self) -> None:
        world = World(approvals_required=2)
        world.approve()
        world.approve("second-reviewer")
        assert len(verify(world).approvers) == 2

    def test_a_person_needs_two_whatever_the_registry_says(self) -> None:
        world = World(manifest=make_manifest(kind=ConceptKind.PERSON))
        world.approve()
        with pytest.raises(ThresholdNotMet, match="1 of 2"):
            verify(world)

    def test_rejects_approval_by_a_key_of_another_role(self, world: World) -> None:
        world.approve("app")
        with pytest.raises(SignatureInvalid, match="approval"):
            verify(world)

    def test_rejects_approval_signed_for_somebody_else(self, world: World) -> None:
        world.approve("second-reviewer", signed_by="reviewer")
        with pytest.raises(SignatureInvalid, match="demo/second-reviewer"):
            verify(world)

    @pytest.mark.parametrize("who", ["trainer", "owner"])
    def test_rejects_approval_by_who_trained_or_owns_it(self, world: World, who: str) -> None:
        world.approve(who)
        with pytest.raises(NotApproved, match=f"demo/{who} trained or owns"):
            verify(world)

    def test_rejects_approval_of_another_manifest(self, world: World) -> None:
        world.approve("second-reviewer", about=Digest.of(b"other"))
        with pytest.raises(VerificationError, match="about something else"):
            verify(world)

    @pytest.mark.parametrize("change", [{"number": 2}, {"concept": ConceptId("demo/owl")}])
    def test_rejects_approval_of_another_version(self, world: World, change: dict[str, object]) -> None:
        world.approve("second-reviewer", **change)
        with pytest.raises(VerificationError, match="is not of demo/fox@1"):
            verify(world)

    def test_rejects_approval_under_other_terms(self, world: World) -> None:
        world.approve("second-reviewer", terms=Digest.of(b"other terms"))
        with pytest.raises(VerificationError, match="other terms"):
            verify(world)

    def test_rejects_rejection_passed_off_as_approval(self, world: World) -> None:
        rejection = RejectionPredicate(
            concept=FOX, number=1, reviewer=PrincipalId("demo/reviewer"), reason="no", signed_at=NOW
        )
        envelope = sign_about(rejection, world.manifest.digest, "reviewer")
        evidence = ApprovalEvidence(envelope=envelope, receipt=world.log.receipt(2))
        with pytest.raises(FormatError, match="approval/v1"):
            verify(world, world.bundle(approvals=(evidence,)))


class TestStep9ApprovalReceipts:
    def test_rejects_approval_whose_receipt_is_of_another_entry(self, world: World) -> None:
        evidence = ApprovalEvidence(envelope=world.approvals[0][0], receipt=world.log.receipt(1))
        with pytest.raises(ProofInvalid, match="not approval:signed"):
            verify(world, world.bundle(approvals=(evidence,)))

    def test_rejects_approval_that_is_not_in_the_log(self, world: World) -> None:
        unlogged = world.approve("second-reviewer")
        evidence = ApprovalEvidence(envelope=unlogged, receipt=world.log.receipt(2))
        with pytest.raises(ProofInvalid, match="not approval:signed"):
            verify(world, world.bundle(approvals=(evidence,)))


class TestStep10StatusList:
    @pytest.mark.parametrize(
        "status", [VersionStatus.REVOKED, VersionStatus.SUSPENDED, VersionStatus.SUPERSEDED, VersionStatus.SUBMITTED]
    )
    def test_rejects_a_version_that_the_list_says_has_ended_whatever_the_registry_says(
        self, world: World, status: VersionStatus
    ) -> None:
        with pytest.raises(NotApproved, match=f"demo/fox@1 is {status.value}, not approved"):
            verify(world, listed=world.status_list(status))

    def test_rejects_a_stale_list(self, world: World) -> None:
        assert verify(world, listed=world.status_list(at=NOW - timedelta(seconds=59)))
        with pytest.raises(StatusListInvalid, match="fetch it again"):
            verify(world, listed=world.status_list(at=NOW - timedelta(seconds=60)))

    def test_rejects_a_list_from_further_ahead_than_clocks_may_differ(self, world: World) -> None:
        assert verify(world, listed=world.status_list(at=NOW + CLOCK_SKEW))
        with pytest.raises(StatusListInvalid, match="set this clock"):
            verify(world, listed=world.status_list(at=NOW + CLOCK_SKEW + timedelta(seconds=1)))

    def test_rejects_the_list_of_another_tenant(self, world: World) -> None:
        with pytest.raises(StatusListInvalid, match=r"found urn:\S+:other:0"):
            verify(world, listed=world.status_list(tenant="other"))

    def test_rejects_the_list_of_another_registry(self, world: World) -> None:
        with pytest.raises(StatusListInvalid, match=r"found urn:\S+/other:demo:0"):
            verify(world, listed=world.status_list(origin="log.test/other"))

    def test_rejects_a_list_signed_by_a_key_of_another_role(self, world: World) -> None:
        with pytest.raises(SignatureInvalid, match="status"):
            verify(world, listed=world.status_list(signer="log"))

    def test_says_what_it_was_verified_with(self, world: World) -> None:
        status = verify(world).status_list
        assert status is not None
        assert status.valid_from == NOW


class TestStep11Artefacts:
    def test_accepts_the_artefact(self, world: World) -> None:
        assert verify_artefact(world.manifest.artefacts[0], EMBEDDING, about=world.name) == EMBEDDING

    def test_rejects_another_size(self, world: World) -> None:
        with pytest.raises(DigestMismatch, match="bytes, but has"):
            verify_artefact(world.manifest.artefacts[0], EMBEDDING + b"x", about=world.name)

    def test_rejects_other_bytes_of_the_same_size(self, world: World) -> None:
        with pytest.raises(DigestMismatch, match="should have digest"):
            verify_artefact(world.manifest.artefacts[0], EMBEDDING[::-1], about=world.name)
