"""Receipts verify under the keys of the log, and a revoked key counts for what the log holds up to its last entry."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.governed import (
    FOX,
    NOW,
    World,
    fixed_signer,
    sign_about,
)
from support.verifying import verify

from sdk.errors import (
    ProofInvalid,
    SignatureInvalid,
)
from sdk.signing.receipts import verify_receipt
from sdk.signing.trust import TrustRoot
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.statements import TrainingPredicate


@pytest.fixture
def world() -> World:
    made = World()
    made.approve()
    return made


class TestReceipt:
    def test_returns_the_entry(self, world: World) -> None:
        assert verify_receipt(world.log.receipt(1), world.trust).event is AuditEventType.VERSION_SUBMITTED

    def test_rejects_unsigned_checkpoint(self, world: World) -> None:
        trust = world.trust.model_copy(update={"keys": {}})
        with pytest.raises(SignatureInvalid):
            verify_receipt(world.log.receipt(1), trust)


def with_last_entry(trust: TrustRoot, name: str, last_entry: int) -> TrustRoot:
    """The trust root in which the key of `name` is revoked."""
    keyid = fixed_signer(name).keyid
    key = trust.keys[keyid].model_copy(update={"last_entry": last_entry})
    return trust.model_copy(update={"keys": trust.keys | {keyid: key}})


class TestRevokedKeys:
    """A key counts for what the log holds up to its last entry, whatever dates it wrote."""

    @pytest.mark.parametrize(("name", "entry"), [("reviewer", 2), ("training-service", 1)])
    def test_count_up_to_their_last_entry(self, world: World, name: str, entry: int) -> None:
        world.trust = with_last_entry(world.trust, name, entry)
        assert verify(world).approvers == (PrincipalId("demo/reviewer"),)

    @pytest.mark.parametrize(("name", "entry"), [("reviewer", 2), ("training-service", 1)])
    def test_count_for_nothing_after_it(self, world: World, name: str, entry: int) -> None:
        world.trust = with_last_entry(world.trust, name, entry - 1)
        with pytest.raises(
            SignatureInvalid, match=f"of demo/{name} counts up to entry {entry - 1} of the log, not for"
        ):
            verify(world)

    def test_gain_nothing_from_a_date_that_was_put_back(self, world: World) -> None:
        world.trust = with_last_entry(world.trust, "second-reviewer", 2)
        world.approve("second-reviewer", signed_at=NOW - timedelta(days=300))
        with pytest.raises(SignatureInvalid, match="counts up to entry 2 of the log, not for entry 3"):
            verify(world)

    def test_of_the_log_count_for_checkpoints_up_to_it(self, world: World) -> None:
        world.trust = with_last_entry(world.trust, "log", 2)
        assert verify(world)
        world.log.append(AuditEventType.CONCEPT_CREATED, "demo/owl")
        with pytest.raises(SignatureInvalid, match="log key"):
            verify(world)

    def test_of_the_status_list_count_for_nothing(self, world: World) -> None:
        world.trust = with_last_entry(world.trust, "status", 1000)
        with pytest.raises(SignatureInvalid, match="trusted for status"):
            verify(world)

    def test_rejects_an_attestation_that_was_not_the_one_submitted(self, world: World) -> None:
        again = sign_about(
            TrainingPredicate(concept=FOX, record=world.manifest.training), world.manifest.digest, "training-service"
        )
        other = again.model_copy(update={"signatures": again.signatures * 2})
        with pytest.raises(ProofInvalid, match="another training attestation"):
            verify(world, world.bundle(training_attestation=other))
