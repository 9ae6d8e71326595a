"""A ledger counts what it proves: one test for each thing that may be wrong with a receipt, a page or the file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from support.governed import FOX, fixed_signer, licence_grant
from support.ledgers import LedgerWorld, ledger_file

from sdk.errors import FormatError, InputError, ProofInvalid, SignatureInvalid, VerificationError
from sdk.royalties.ledger import VerifiedLedger, missing_receipts, verify_ledger, write_ledger
from sdk.signing.signer import sign_envelope
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.ledger import LedgerEntry, LedgerPage, UseReceipt
from sdk.spec.log_entry import AuditEventType

SHRINE = ConceptId("demo/shrine")
FOX_1, SHRINE_1 = "demo/fox@1", "demo/shrine@1"


@pytest.fixture
def world() -> LedgerWorld:
    """The fox alone, fox and shrine, the fox without a result, the shrine; the shrine rests on both licences."""
    made = LedgerWorld(
        licences={"fox": licence_grant(FOX), "shrine": licence_grant(SHRINE, rights_holder="holder-0002")},
        versions={FOX_1: ("fox",), SHRINE_1: ("fox", "shrine")},
    )
    made.append(AuditEventType.LOG_OPENED, "log", datetime(2026, 1, 1, tzinfo=UTC))
    made.use(FOX_1, images=2)
    made.use(FOX_1, SHRINE_1, images=1, count=4)
    made.use(FOX_1, images=None, count=3)
    made.use(SHRINE_1, images=5)
    return made


def read(world: LedgerWorld, *pages: LedgerPage) -> VerifiedLedger:
    return verify_ledger(ledger_file(pages), world.trust)


def said(ledger: VerifiedLedger) -> list[str]:
    return [f"{fault.about}: {fault.says}" for fault in ledger.faults]


def replaced(world: LedgerWorld, place: int, **changes: Any) -> list[UseReceipt]:
    """The receipts, with members of one changed."""
    made = list(world.receipts)
    made[place] = made[place].model_copy(update=changes)
    return made


class TestWhole:
    def test_counts_every_receipt_under_each_licence_it_rests_on(self, world: LedgerWorld) -> None:
        ledger = verify_ledger(world.ledger(limit=3), world.trust)
        fox, shrine = (world.licences[name].id for name in ("fox", "shrine"))
        assert ledger.faults == ()
        assert [(use.images, use.granted, dict(use.versions)) for use in ledger.uses] == [
            (2, 2, {fox: (FOX_1,)}),
            (1, 4, {fox: (FOX_1, SHRINE_1), shrine: (SHRINE_1,)}),
            (None, 3, {fox: (FOX_1,)}),
            (5, 5, {fox: (SHRINE_1,), shrine: (SHRINE_1,)}),
        ]
        assert ledger.digest == Digest.of(world.ledger(limit=3))

    def test_is_written_once_and_read_as_it_was_written(self, world: LedgerWorld, tmp_path: Any) -> None:
        path = tmp_path / "ledger.jsonl"
        digest = write_ledger(path, world.pages(2))
        assert verify_ledger(path.read_bytes(), world.trust).digest == digest
        with pytest.raises(InputError, match="already"):
            write_ledger(path, world.pages(2))
        with pytest.raises(InputError, match="no ledger can be written"):
            write_ledger(tmp_path / "no" / "ledger.jsonl", world.pages(2))

    def test_of_one_licence_needs_the_manifests_of_its_concepts_only(self, world: LedgerWorld) -> None:
        shrine = world.licences["shrine"]
        manifest = encode_canonical(world.manifests[SHRINE_1])
        receipts = [world.receipts[1], world.receipts[3]]
        page = world.page(receipts, licence=shrine.id, licences=(shrine,), manifests=(manifest,))
        ledger = read(world, page)
        assert [dict(use.versions) for use in ledger.uses] == [{shrine.id: (SHRINE_1,)}] * 2
        assert ledger.faults == ()


Change = Callable[[LedgerWorld], list[UseReceipt]]


def another_intent(world: LedgerWorld) -> list[UseReceipt]:
    return replaced(world, 1, intent=world.receipts[0].intent)


def another_result(world: LedgerWorld) -> list[UseReceipt]:
    return replaced(world, 1, result=world.receipts[0].result, statement=world.receipts[0].statement)


def no_statement(world: LedgerWorld) -> list[UseReceipt]:
    return replaced(world, 1, statement=None)


def another_statement(world: LedgerWorld) -> list[UseReceipt]:
    return replaced(world, 1, statement=world.receipts[0].statement)


def a_permit_for_a_result(world: LedgerWorld) -> list[UseReceipt]:
    return replaced(world, 1, result=world.receipts[1].permit)


def a_result_for_a_permit(world: LedgerWorld) -> list[UseReceipt]:
    return replaced(world, 1, permit=world.receipts[1].result)


class TestReceipts:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (another_intent, "its intent is not the one that was permitted"),
            (another_result, "is the result of another generation"),
            (no_statement, "the application's statement that its result names is missing"),
            (another_statement, "the application's statement that its result names is missing"),
            (a_permit_for_a_result, "is generation:permitted, not generation:recorded"),
            (a_result_for_a_permit, "is generation:recorded, not generation:permitted"),
        ],
    )
    def test_one_that_does_not_hold_is_named_and_not_counted(
        self, world: LedgerWorld, change: Change, says: str
    ) -> None:
        ledger = read(world, world.page(change(world)))
        assert [fault.split(": ")[0] for fault in said(ledger)] == [ledger_subject(world, 1)]
        assert says in ledger.faults[0].says
        assert [use.images for use in ledger.uses] == [2, None, 5]

    def test_one_that_comes_twice_counts_once(self, world: LedgerWorld) -> None:
        ledger = read(world, world.page([*world.receipts, world.receipts[0]]))
        assert said(ledger) == [f"{ledger_subject(world, 0)}: a second receipt of it is on page 1; it counts once"]
        assert len(ledger.uses) == 4

    def test_a_statement_that_another_key_signed_does_not_count(self, world: LedgerWorld) -> None:
        world.use(FOX_1, signer="auditor")
        assert "no signature by a key trusted for generation" in read(world, world.page()).faults[0].says

    def test_a_statement_about_another_generation_does_not_count(self, world: LedgerWorld) -> None:
        forged = world.use(FOX_1)
        other = world.receipts[0].statement
        assert other
        again = sign_envelope(other.payload, fixed_signer("app"))
        result = world.append(
            AuditEventType.GENERATION_RECORDED,
            ledger_subject(world, 4),
            datetime(2026, 11, 24, tzinfo=UTC),
            evidence={"statement": again.digest},
            facts={"images": "2"},
        )
        world.receipts[4] = forged.model_copy(update={"result": result, "statement": again})
        assert read(world, world.page()).faults[0].says == "its statement is about another generation"

    def test_more_images_than_were_permitted_do_not_count(self, world: LedgerWorld) -> None:
        world.use(FOX_1, images=3, count=2)
        assert (
            "its statement is about 3 images; its result says 3, and 2 were permitted"
            in said(read(world, world.page()))[0]
        )

    def test_another_tenants_does_not_count(self, world: LedgerWorld) -> None:
        assert all(
            "it is of demo, not of other" in fault
            for fault in said(read(world, world.page(tenant="other", licences=())))
        )

    def test_one_outside_the_period_does_not_count(self, world: LedgerWorld) -> None:
        page = world.page(until=datetime(2026, 11, 1, tzinfo=UTC))
        assert all("outside the ledger's period" in fault for fault in said(read(world, page)))
        assert len(read(world, page).faults) == 4

    def test_one_without_its_manifest_or_licence_does_not_count(self, world: LedgerWorld) -> None:
        without = read(world, world.page(manifests=(encode_canonical(world.manifests[FOX_1]),)))
        assert [fault.says for fault in without.faults] == [f"the manifest of {SHRINE_1} is missing"] * 2
        without = read(world, world.page(licences=(world.licences["fox"],)))
        missing = world.licences["shrine"].id
        assert [fault.says for fault in without.faults] == [
            f"licence {missing}, which its versions rest on, is missing"
        ] * 2


class TestPages:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"proof": ()}, ProofInvalid),
            ({"checkpoint": "no note"}, FormatError),
        ],
    )
    def test_a_first_page_that_proves_nothing_is_an_error(
        self, world: LedgerWorld, changes: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            read(world, world.page(**changes))

    def test_a_changed_entry_is_told(self, world: LedgerWorld) -> None:
        permit = world.receipts[1].permit
        forged = LedgerEntry(index=permit.index, content=permit.content.replace(b"shrine", b"shrink"))
        with pytest.raises(ProofInvalid):
            read(world, world.page(replaced(world, 1, permit=forged)))

    def test_two_contents_of_one_entry_are_told(self, world: LedgerWorld) -> None:
        permit = world.receipts[1].permit
        forged = LedgerEntry(index=permit.index, content=permit.content.replace(b"shrine", b"shrink"))
        with pytest.raises(ProofInvalid, match="two contents"):
            read(world, world.page([*replaced(world, 1, permit=forged), world.receipts[1]]))

    def test_a_checkpoint_that_another_key_signed_is_told(self, world: LedgerWorld) -> None:
        lines = world.note().splitlines(keepends=True)
        with pytest.raises(SignatureInvalid):
            read(world, world.page(checkpoint="".join(lines[:-1]) + lines[-1][:-8] + "AAAAAAA\n"))

    def test_a_licence_with_other_terms_is_told(self, world: LedgerWorld) -> None:
        fox, shrine = world.licences["fox"], world.licences["shrine"]
        cheaper = fox.grant.model_copy(update={"max_images": 1})
        with pytest.raises(VerificationError, match="should have digest"):
            read(world, world.page(licences=(fox.model_copy(update={"grant": cheaper}), shrine)))
        forged = fox.model_copy(update={"grant": cheaper, "digest": Digest.of(encode_canonical(cheaper))})
        with pytest.raises(VerificationError, match="not the one of demo with these terms"):
            read(world, world.page(licences=(forged, shrine)))

    def test_a_ledger_of_a_licence_has_that_licence(self, world: LedgerWorld) -> None:
        with pytest.raises(VerificationError, match="whose ledger this is, is missing"):
            read(world, world.page(licence=world.licences["shrine"].id, licences=(world.licences["fox"],)))

    def test_a_later_page_that_proves_nothing_is_named_and_the_others_count(self, world: LedgerWorld) -> None:
        first, second = world.pages(2)
        ledger = read(world, first, second.model_copy(update={"proof": ()}))
        assert [(fault.about, "are not counted" in fault.says) for fault in ledger.faults] == [("page 2", True)]
        assert len(ledger.uses) == 2
        content = ledger_file([first]) + b"not json\n"
        assert [fault.about for fault in verify_ledger(content, world.trust).faults] == ["page 2", "page 2"]

    def test_a_missing_page_is_named(self, world: LedgerWorld) -> None:
        first, second, third, fourth = world.pages(1)
        place = first.next_after
        assert any(
            f"the page after permit {place}: it is missing" in fault
            for fault in said(read(world, first, third, fourth))
        )
        assert "goes on after permit" in said(read(world, first, second, third))[-1]
        assert said(read(world, first, second, third, fourth)) == []

    def test_a_page_of_another_ledger_or_checkpoint_is_named(self, world: LedgerWorld) -> None:
        first, second = world.pages(2)
        other = second.model_copy(update={"since": datetime(2026, 1, 1, tzinfo=UTC)})
        assert "of another ledger" in said(read(world, first, other))[0]
        world.use(FOX_1)
        later = world.pages(2)[1]
        assert "under another checkpoint" in said(read(world, first, later))[0]

    def test_an_empty_file_is_no_ledger(self, world: LedgerWorld) -> None:
        with pytest.raises(FormatError, match="empty"):
            verify_ledger(b"", world.trust)


class TestMissing:
    def test_a_receipt_that_the_log_has_and_the_ledger_lacks_is_named(self, world: LedgerWorld) -> None:
        assert missing_receipts(read(world, world.page()), world.entries) == ()
        missing = missing_receipts(read(world, world.page(world.receipts[1:])), world.entries)
        assert [fault.about for fault in missing] == [ledger_subject(world, 0)]

    def test_a_result_that_is_shown_as_if_there_were_none_is_named(self, world: LedgerWorld) -> None:
        hidden = replaced(world, 0, result=None, statement=None)
        ledger = read(world, world.page(hidden))
        assert (ledger.faults, ledger.uses[0].images) == ((), None)
        assert [fault.about for fault in missing_receipts(ledger, world.entries)] == [ledger_subject(world, 0)]

    def test_other_concepts_periods_and_later_entries_are_not_missed(self, world: LedgerWorld) -> None:
        shrine = world.licences["shrine"]
        page = world.page([world.receipts[1], world.receipts[3]], licence=shrine.id)
        world.use(SHRINE_1)
        assert missing_receipts(read(world, page), world.entries) == ()
        assert len(missing_receipts(read(world, world.page((), licence=shrine.id)), world.entries)) == 3
        before = world.page((), until=datetime(2026, 1, 1, tzinfo=UTC))
        assert missing_receipts(read(world, before), world.entries) == ()

    def test_of_a_period_that_was_not_over_what_came_later_is_missed(self, world: LedgerWorld) -> None:
        page = world.page(until=datetime(2100, 1, 1, tzinfo=UTC))
        world.use(FOX_1)
        (fault,) = missing_receipts(read(world, page), world.entries)
        assert "written before it, so export it again" in fault.says


def ledger_subject(world: LedgerWorld, place: int) -> str:
    """The generation that a receipt is about."""
    return world.entries[world.receipts[place].permit.index].subject
