"""Tests of sdk.break_glass: a version that two people opened verifies; with one thing wrong it does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.governed import FOX, NOW, World, fixed_signer, make_manifest, make_trust_root

from sdk.break_glass import verify_usable
from sdk.errors import (
    FormatError,
    NotApproved,
    ProofInvalid,
    SignatureInvalid,
    VerificationError,
)
from sdk.signing.signer import sign_envelope
from sdk.spec.break_glass import BreakGlassPredicate
from sdk.spec.bundle import BreakGlassEvidence, VersionBundle, VersionStatus
from sdk.spec.canonical import validate_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId, parse_version_ref
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ConceptKind
from sdk.spec.statements import encode_statement
from sdk.verify import VerifiedVersion, verify_live, verify_version

PAIR = ("reviewer", "owner")
OPENED = AuditEventType.VERSION_BREAK_GLASS
ENDS = NOW + timedelta(hours=12)


def members(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "concept": FOX,
        "number": 1,
        "signers": tuple(f"demo/{name}" for name in PAIR),
        "terms": world.terms,
        "reason": "the broadcast is tonight",
        "signed_at": NOW,
        "expires_at": ENDS,
    } | changes


def statement(world: World, *, by: tuple[str, ...] = PAIR, about: Digest | None = None, **changes: Any) -> Envelope:
    predicate = BreakGlassPredicate(**members(world, **changes))
    payload = encode_statement(predicate, subjects={str(FOX): about or world.manifest.digest})
    signed = [sign_envelope(payload, fixed_signer(name)) for name in by]
    return signed[0].model_copy(update={"signatures": tuple(one.signatures[0] for one in signed)})


def opened(world: World, envelope: Envelope, *, event: AuditEventType = OPENED) -> VersionBundle:
    """The version with `envelope` logged, as the registry would send it."""
    index = world.log.append(event, world.name, evidence={"envelope": envelope.digest})
    glass = BreakGlassEvidence(envelope=envelope, receipt=world.log.receipt(index))
    return world.bundle(status=VersionStatus.BREAK_GLASS, break_glass=glass)


def verify(world: World, bundle: VersionBundle, *, ref: str = "demo/fox@1", **given: Any) -> VerifiedVersion:
    now = given.get("now", NOW)
    listed = given.get("listed", world.status_list(VersionStatus.BREAK_GLASS, at=now))
    return verify_usable(
        bundle, ref=parse_version_ref(ref), trust=given.get("trust", world.trust), now=now, status_list=listed
    )


@pytest.fixture
def world() -> World:
    """A person, with one approval of the two that it needs."""
    world = World(manifest=make_manifest(kind=ConceptKind.PERSON), approvals_required=2)
    world.approve()
    return world


class TestUsable:
    def test_a_version_that_two_people_opened(self, world: World) -> None:
        version = verify(world, opened(world, statement(world)))
        assert version.break_glass
        assert (version.break_glass.signers, version.break_glass.expires_at) == (("demo/reviewer", "demo/owner"), ENDS)
        assert version.approvers == ("demo/reviewer",)

    def test_an_approved_version_too_whatever_was_opened_before(self, world: World) -> None:
        bundle = opened(world, statement(world))
        world.approve("second-reviewer")
        approved = world.bundle(break_glass=bundle.break_glass)
        assert verify(world, approved, listed=world.status_list()).break_glass is None

    def test_but_it_is_not_approved(self, world: World) -> None:
        bundle, ref = opened(world, statement(world)), parse_version_ref("demo/fox@1")
        listed = world.status_list(VersionStatus.BREAK_GLASS)
        with pytest.raises(NotApproved, match="is break-glass, not approved"):
            verify_version(bundle, ref=ref, trust=world.trust, now=NOW, status_list=listed)

    @pytest.mark.parametrize("ref", ["demo/fox", "demo/fox@stable"])
    def test_by_its_number_or_digest_only(self, world: World, ref: str) -> None:
        bundle = opened(world, statement(world))
        assert verify(world, bundle, ref=f"demo/fox@{world.manifest.digest}").break_glass
        with pytest.raises(NotApproved, match="not approved but opened by break-glass"):
            verify(world, bundle, ref=ref)


class TestRefuses:
    def test_no_statement(self, world: World) -> None:
        with pytest.raises(ProofInvalid, match="shows no statement"):
            verify(world, world.bundle(status=VersionStatus.BREAK_GLASS))

    def test_one_signature(self, world: World) -> None:
        with pytest.raises(SignatureInvalid, match="not signed by demo/owner"):
            verify(world, opened(world, statement(world, by=("reviewer",))))

    def test_the_same_person_twice(self, world: World) -> None:
        with pytest.raises(SignatureInvalid, match="not signed by demo/owner"):
            verify(world, opened(world, statement(world, by=("reviewer", "reviewer"))))
        with pytest.raises(FormatError, match="named twice"):
            validate_wire(BreakGlassPredicate, members(world, signers=("demo/reviewer",) * 2), "break-glass")

    def test_somebody_of_another_tenant(self, world: World) -> None:
        with pytest.raises(FormatError, match="other/reviewer is of another tenant than demo/fox"):
            validate_wire(
                BreakGlassPredicate, members(world, signers=("demo/reviewer", "other/reviewer")), "break-glass"
            )

    def test_a_signature_of_somebody_who_is_not_named(self, world: World) -> None:
        with pytest.raises(SignatureInvalid, match="not signed by demo/owner"):
            verify(world, opened(world, statement(world, by=("reviewer", "second-reviewer"))))

    def test_two_whose_work_it_is(self, world: World) -> None:
        both = ("owner", "trainer")
        named = tuple(PrincipalId(f"demo/{name}") for name in both)
        with pytest.raises(NotApproved, match="both who opened demo/fox@1"):
            verify(world, opened(world, statement(world, by=both, signers=named)))

    def test_a_key_that_was_revoked_before(self, world: World) -> None:
        bundle = opened(world, statement(world))
        keyid = fixed_signer("owner").keyid
        ended = world.trust.keys[keyid].model_copy(update={"last_entry": 2})
        trust = make_trust_root(keys=world.trust.keys | {keyid: ended})
        with pytest.raises(SignatureInvalid, match="not signed by demo/owner"):
            verify(world, bundle, trust=trust)

    def test_one_that_is_expired(self, world: World) -> None:
        bundle = opened(world, statement(world))
        assert verify(world, bundle, now=ENDS - timedelta(seconds=1))
        with pytest.raises(NotApproved, match="expired at"):
            verify(world, bundle, now=ENDS)

    def test_more_than_72_hours(self, world: World) -> None:
        with pytest.raises(FormatError, match="72 hours"):
            validate_wire(
                BreakGlassPredicate, members(world, expires_at=NOW + timedelta(hours=72, seconds=1)), "break-glass"
            )

    def test_more_than_72_hours_after_it_was_logged_although_it_was_dated_later(self, world: World) -> None:
        later = NOW + timedelta(hours=1)
        bundle = opened(world, statement(world, signed_at=later, expires_at=later + timedelta(hours=72)))
        with pytest.raises(VerificationError, match="72 hours are the most"):
            verify(world, bundle)

    def test_other_terms(self, world: World) -> None:
        with pytest.raises(VerificationError, match="other terms"):
            verify(world, opened(world, statement(world, terms=Digest.of(b"others"))))

    def test_another_version(self, world: World) -> None:
        with pytest.raises(VerificationError, match="is not of demo/fox@1"):
            verify(world, opened(world, statement(world, number=2)))
        with pytest.raises(VerificationError, match="about something else"):
            verify(world, opened(world, statement(world, about=Digest.of(b"other"))))

    def test_a_statement_that_is_not_in_the_log(self, world: World) -> None:
        with pytest.raises(ProofInvalid, match="not version:break_glass"):
            verify(world, opened(world, statement(world), event=AuditEventType.APPROVAL_SIGNED))

    @pytest.mark.parametrize("status", [VersionStatus.REJECTED, VersionStatus.SUBMITTED, VersionStatus.SUSPENDED])
    def test_a_status_list_that_says_anything_else(self, world: World, status: VersionStatus) -> None:
        with pytest.raises(NotApproved):
            verify(world, opened(world, statement(world)), listed=world.status_list(status))

    def test_the_status_list_of_a_break_glass_for_an_approved_version(self) -> None:
        world = World()
        world.approve()
        with pytest.raises(NotApproved, match="demo/fox@1 is suspended"):
            verify(world, world.bundle())

    def test_nothing_when_it_was_approved_meanwhile(self, world: World) -> None:
        assert verify(world, opened(world, statement(world)), listed=world.status_list()).break_glass

    def test_a_call_that_outlives_it(self, world: World) -> None:
        late = ENDS - timedelta(seconds=10)
        version = verify(world, opened(world, statement(world)), now=late)
        assert version.live_until == ENDS
        listed = world.status_list(VersionStatus.BREAK_GLASS, at=ENDS)
        with pytest.raises(NotApproved, match="expired"):
            verify_live(version, listed, trust=world.trust, now=ENDS)
