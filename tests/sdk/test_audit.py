"""Auditing a whole log from the outside: what holds, and every way in which it can fail to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.governed import NOW, ORIGIN, fixed_signer, make_trust_root, record_id
from support.memory_log import MemoryLog

from sdk.audit import VerifiedLog, account_for, sign_report, verify_log
from sdk.errors import FormatError, LogForked, ProofInvalid, SignatureInvalid
from sdk.findings import find_faults
from sdk.signing.trust import TrustRole, verify_role
from sdk.spec.api import GeneratedImage, GenerationIntent, GenerationView
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.log_entry import AuditEventType as Event
from sdk.spec.log_tiles import TILE_WIDTH, encode_entry_bundle
from sdk.spec.policy import Decision, Effect, Use
from sdk.spec.statements import AuditPredicate, parse_predicate, parse_statement

TRUST = make_trust_root()
DIGEST = Digest.of(b"x")
FOX = "demo/fox@1"
INTENT = GenerationIntent(
    manifests=(DIGEST,),
    scene=DIGEST,
    use=Use(purpose="advertising", territory="JP", channel="web"),
    count=1,
    seed=0,
    base_model=DIGEST,
    policy_bundle=DIGEST,
    idempotency_key="k" * 16,
)


def make_log(*entries: tuple[Event, str]) -> MemoryLog:
    log = MemoryLog(ORIGIN, fixed_signer("log"), NOW)
    log.append(Event.LOG_OPENED, ORIGIN)
    for event, subject in entries:
        add(log, event, subject)
    return log


def add(log: MemoryLog, event: Event, subject: str, **told: Any) -> None:
    """One more entry, with what the registry tells in such a one."""
    if event in (Event.GENERATION_PERMITTED, Event.GENERATION_DENIED):
        told = {"facts": {"versions": FOX}, "evidence": {"intent": Digest.of(encode_canonical(INTENT))}} | told
    if event is Event.GENERATION_RECORDED:
        told = {"facts": {"images": "1"}} | told
    actor = "demo/reviewer" if event is Event.APPROVAL_SIGNED else "demo/app"
    log.append(event, subject, **{"actor": actor} | told)


def long_log(size: int) -> MemoryLog:
    return make_log(*[(Event.CONCEPT_CREATED, f"demo/c{i}") for i in range(size - 1)])


def view(name: str, intent: int, result: int | None = None, *, permitted: bool = True) -> GenerationView:
    effect = Effect.PERMIT if permitted else Effect.DENY
    return GenerationView(
        id=record_id("gen", name),
        application=PrincipalId("demo/app"),
        intent=INTENT,
        decision=Decision(effect=effect, action="compose", reasons=(), bundle=DIGEST, context=DIGEST),
        versions=(FOX,),
        permitted_at=NOW,
        images=() if result is None else (GeneratedImage(digest=DIGEST, media_type="image/png", size=1),),
        intent_index=intent,
        result_index=result,
    )


GOOD = (
    (Event.VERSION_SUBMITTED, FOX),
    (Event.APPROVAL_SIGNED, FOX),
    (Event.VERSION_APPROVED, FOX),
    (Event.GENERATION_PERMITTED, record_id("gen", "a")),
    (Event.GENERATION_RECORDED, record_id("gen", "a")),
)


class Tampered(MemoryLog):
    """A log whose tiles or entries are not what it signed."""

    bundle: bytes | None = None
    tile: bytes | None = None

    def log_entry_bundle(self, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return self.bundle if self.bundle is not None else super().log_entry_bundle(index, width=width)

    def log_tile(self, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return self.tile if self.tile is not None else super().log_tile(level, index, width=width)


def tampered(**what: Any) -> Tampered:
    log = Tampered(ORIGIN, fixed_signer("log"), NOW)
    log.contents = make_log(*GOOD).contents
    for name, value in what.items():
        setattr(log, name, value)
    return log


class TestWholeLog:
    @pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 513])
    def test_accepts_logs_of_every_shape(self, size: int) -> None:
        log = long_log(size)
        assert len(verify_log(log, TRUST).entries) == size

    def test_accepts_growth_since_earlier_checkpoints(self) -> None:
        log = long_log(20)
        assert verify_log(log, TRUST, remembered=[log.note(1), log.note(13), log.note(20)]).checkpoint.tree_size == 20

    def test_step_1_rejects_checkpoint_of_another_key(self) -> None:
        log = make_log(*GOOD)
        log.signer = fixed_signer("app")
        with pytest.raises(SignatureInvalid):
            verify_log(log, TRUST)

    @pytest.mark.parametrize(
        "change", [lambda c: [*c[:-1], c[0]], lambda c: [c[1], c[0], *c[2:]], lambda c: [*c[:2], c[2] + b" ", *c[3:]]]
    )
    def test_step_2_rejects_changed_entries(self, change: Any) -> None:
        contents = make_log(*GOOD).contents
        with pytest.raises(ProofInvalid, match="entries served do not have the root"):
            verify_log(tampered(bundle=encode_entry_bundle(change(contents))), TRUST)

    def test_step_2_rejects_a_bundle_of_another_length(self) -> None:
        contents = make_log(*GOOD).contents
        with pytest.raises(FormatError, match="6 entries, found 5"):
            verify_log(tampered(bundle=encode_entry_bundle(contents[:-1])), TRUST)

    def test_step_3_rejects_tiles_that_say_something_else(self) -> None:
        with pytest.raises(ProofInvalid, match="tile 0 of level 0"):
            verify_log(tampered(tile=bytes(32 * 6)), TRUST)

    def test_step_4_notices_rewritten_history(self) -> None:
        log, other = make_log(*GOOD), make_log(*reversed(GOOD))
        with pytest.raises(LogForked, match="rewritten"):
            verify_log(log, TRUST, remembered=[other.note(4)])

    def test_step_4_notices_entries_that_were_taken_away(self) -> None:
        log = make_log(*GOOD)
        longer = log.note()
        del log.contents[-1]
        with pytest.raises(LogForked, match="taken away"):
            verify_log(log, TRUST, remembered=[longer])

    def test_step_5_rejects_an_entry_that_is_none(self) -> None:
        log = make_log(*GOOD)
        log.contents.append(b"not an entry")
        with pytest.raises(FormatError, match="log entry"):
            verify_log(log, TRUST)


class TestFindings:
    def faults(self, entries: tuple[tuple[Event, str], ...], *views: GenerationView) -> tuple[str, ...]:
        return find_faults(verify_log(make_log(*entries), TRUST), views, tenant=TenantName("demo"))

    def test_none_where_all_is_well(self) -> None:
        assert self.faults(GOOD, view("a", 4, 5)) == ()

    @pytest.mark.parametrize(
        "ending", [Event.VERSION_REVOKED, Event.VERSION_SUSPENDED, Event.VERSION_SUPERSEDED, Event.VERSION_REJECTED]
    )
    def test_use_after_the_end(self, ending: Event) -> None:
        entries = (*GOOD[:3], (ending, FOX), *GOOD[3:])
        assert self.faults(entries, view("a", 5, 6)) == (
            f"{record_id('gen', 'a')}: permitted at entry 5 with demo/fox@1, which was last {ending.value}",
        )

    def test_use_after_a_return_from_suspension_is_no_fault(self) -> None:
        entries = (*GOOD[:3], (Event.VERSION_SUSPENDED, FOX), (Event.VERSION_REINSTATED, FOX), *GOOD[3:])
        assert self.faults(entries, view("a", 6, 7)) == ()

    @pytest.mark.parametrize("before", [Event.VERSION_REVOKED, Event.VERSION_SUPERSEDED])
    def test_only_what_was_suspended_returns(self, before: Event) -> None:
        entries = (*GOOD[:3], (before, FOX), (Event.VERSION_REINSTATED, FOX), *GOOD[3:])
        (fault,) = self.faults(entries, view("a", 6, 7))
        assert "last version:reinstated" in fault

    def test_what_was_never_approved_does_not_return(self) -> None:
        entries = (*GOOD[:2], (Event.VERSION_SUSPENDED, FOX), (Event.VERSION_REINSTATED, FOX), *GOOD[3:])
        (fault,) = self.faults(entries, view("a", 5, 6))
        assert "last version:reinstated" in fault

    def test_revocation_after_the_use_is_no_fault(self) -> None:
        assert self.faults((*GOOD, (Event.VERSION_REVOKED, FOX)), view("a", 4, 5)) == ()

    def test_use_without_approval(self) -> None:
        entries = (GOOD[0], GOOD[1], *GOOD[3:])
        (fault,) = self.faults(entries, view("a", 3, 4))
        assert "never approved" in fault

    @pytest.mark.parametrize(
        ("facts", "later", "usable"),
        [
            ({"expires_at": "2026-11-24T13:00:00+00:00"}, timedelta(minutes=59), True),
            ({"expires_at": "2026-11-24T13:00:00+00:00"}, timedelta(minutes=60), False),
            ({"expires_at": "2027-11-24T13:00:00+00:00"}, timedelta(hours=73), False),  # longer than any may be
            ({"expires_at": "some day"}, timedelta(0), False),
            ({}, timedelta(0), False),
        ],
    )
    def test_use_under_a_break_glass_is_no_fault_before_its_end(
        self, facts: dict[str, str], later: timedelta, usable: bool
    ) -> None:
        log = make_log((Event.VERSION_SUBMITTED, FOX))
        log.append(Event.VERSION_BREAK_GLASS, FOX, facts=facts | {"signers": "demo/owner demo/reviewer"})
        log.at = NOW + later
        add(log, Event.GENERATION_PERMITTED, record_id("gen", "a"))
        verified = verify_log(log, TRUST)
        faults = find_faults(verified, [view("a", 3)], tenant=TenantName("demo"))
        assert [("last version:break_glass" in fault) for fault in faults] == ([] if usable else [True])
        (account,) = account_for(verified, [view("a", 3)])
        assert account.break_glasses == ((2, "demo/owner demo/reviewer", FOX),)

    def test_generation_that_the_log_does_not_bear_out(self) -> None:
        faults = self.faults(GOOD[:4], view("a", 4), view("b", 3))
        assert any(f"{record_id('gen', 'b')}: entry 3 of the log is not generation:permitted" in f for f in faults)

    def test_result_that_the_log_does_not_bear_out(self) -> None:
        (fault,) = self.faults((*GOOD[:4], GOOD[0]), view("a", 4, 5))
        assert "not generation:recorded" in fault

    def test_denial_shown_as_permit(self) -> None:
        entries = (*GOOD[:3], (Event.GENERATION_DENIED, record_id("gen", "a")))
        (fault,) = self.faults(entries, view("a", 4))
        assert "not generation:permitted" in fault

    @pytest.mark.parametrize(
        ("event", "told", "fault"),
        [
            (Event.GENERATION_PERMITTED, {"facts": {"versions": "demo/owl@1"}}, "another versions"),
            (Event.GENERATION_PERMITTED, {"actor": "demo/other"}, "another application"),
            (Event.GENERATION_PERMITTED, {"evidence": {"intent": DIGEST}}, "another intent"),
            (Event.GENERATION_RECORDED, {"facts": {"images": "9"}}, "another number of images"),
        ],
    )
    def test_generation_that_is_listed_otherwise_than_the_log_tells(
        self, event: Event, told: dict[str, Any], fault: str
    ) -> None:
        log = make_log(*GOOD[:3])
        for each in (Event.GENERATION_PERMITTED, Event.GENERATION_RECORDED):
            add(log, each, record_id("gen", "a"), **told if each is event else {})
        (found,) = find_faults(verify_log(log, TRUST), [view("a", 4, 5)], tenant=TenantName("demo"))
        assert fault in found

    def test_result_that_the_registry_hides(self) -> None:
        (fault,) = self.faults(GOOD, view("a", 4))
        assert "its result is entry 5 of the log, but the registry lists none" in fault

    @pytest.mark.parametrize("end", [Event.VERSION_REVOKED, Event.VERSION_SUPERSEDED, Event.VERSION_REJECTED])
    @pytest.mark.parametrize(
        "later",
        [
            (Event.VERSION_SUSPENDED, Event.VERSION_REINSTATED),
            (Event.VERSION_SUSPENDED, Event.VERSION_RENEWED),
            (Event.VERSION_APPROVED,),
        ],
    )
    def test_what_ended_for_good_never_comes_back(self, end: Event, later: tuple[Event, ...]) -> None:
        told = ((event, FOX) for event in (end, *later))
        (fault,) = self.faults((*GOOD[:3], *told, *GOOD[3:]), view("a", 5 + len(later), 6 + len(later)))
        assert f"last {later[-1].value}" in fault

    @pytest.mark.parametrize("then", [Event.VERSION_REJECTED, Event.VERSION_SUSPENDED])
    def test_a_break_glass_is_shut_by_what_follows(self, then: Event) -> None:
        log = make_log((Event.VERSION_SUBMITTED, FOX))
        log.append(Event.VERSION_BREAK_GLASS, FOX, facts={"expires_at": "2026-11-25T12:00:00+00:00"})
        log.append(then, FOX)
        add(log, Event.GENERATION_PERMITTED, record_id("gen", "a"))
        (fault,) = find_faults(verify_log(log, TRUST), [view("a", 4)], tenant=TenantName("demo"))
        assert f"last {then.value}" in fault

    def test_a_break_glass_opens_nothing_that_was_approved(self) -> None:
        log = make_log(*GOOD[:3], (Event.VERSION_REVOKED, FOX))
        log.append(Event.VERSION_BREAK_GLASS, FOX, facts={"expires_at": "2026-11-25T12:00:00+00:00"})
        add(log, Event.GENERATION_PERMITTED, record_id("gen", "a"))
        (fault,) = find_faults(verify_log(log, TRUST), [view("a", 6)], tenant=TenantName("demo"))
        assert "last version:break_glass" in fault

    def test_permit_that_the_registry_hides(self) -> None:
        (fault,) = self.faults(GOOD)
        assert "does not list it" in fault

    def test_what_other_tenants_generated_is_their_auditors_matter(self) -> None:
        log = make_log(*GOOD)
        log.append(Event.GENERATION_PERMITTED, record_id("gen", "z"), actor="other/app")
        assert find_faults(verify_log(log, TRUST), [view("a", 4, 5)], tenant=TenantName("demo")) == ()

    def test_what_is_newer_than_the_checkpoint_waits(self) -> None:
        assert self.faults(GOOD, view("a", 4, 99), view("b", 98)) == ()

    def test_denied_generation_needs_no_approval(self) -> None:
        assert self.faults(((Event.GENERATION_DENIED, record_id("gen", "a")),), view("a", 1, permitted=False)) == ()


class TestAccounts:
    def test_says_who_with_what_under_which_approval(self) -> None:
        log = verify_log(make_log(*GOOD), TRUST)
        (account,) = account_for(log, [view("a", 4, 5)])
        assert account.application == "demo/app"
        assert account.versions == (FOX,)
        assert account.approvals == ((2, PrincipalId("demo/reviewer"), FOX),)
        assert (account.permitted, account.recorded, account.images) == (True, True, (DIGEST,))

    def test_approvals_signed_later_do_not_count(self) -> None:
        log = verify_log(make_log(*GOOD, (Event.APPROVAL_SIGNED, FOX)), TRUST)
        assert len(account_for(log, [view("a", 4, 5)])[0].approvals) == 1


class TestReport:
    def test_is_signed_and_says_what_was_found(self) -> None:
        log: VerifiedLog = verify_log(make_log(*GOOD), TRUST)
        auditor = PrincipalId("demo/auditor")
        report = sign_report(log, ["a fault"], auditor=auditor, at=NOW, signer=fixed_signer("auditor"))
        assert verify_role(report, TRUST, TrustRole.AUDIT) == {auditor}
        statement = parse_statement(report.payload, report.payload_type)
        predicate = parse_predicate(statement, AuditPredicate)
        assert statement.subject[0].content == Digest.of(log.note)
        assert (predicate.tree_size, predicate.findings, predicate.origin) == (6, ("a fault",), ORIGIN)

    def test_about_another_log_is_another_report(self) -> None:
        log = verify_log(make_log(*GOOD), TRUST)
        other = replace(log, note=b"other")
        signed = [
            sign_report(each, [], auditor=PrincipalId("demo/auditor"), at=NOW, signer=fixed_signer("auditor"))
            for each in (log, other)
        ]
        assert signed[0] != signed[1]
