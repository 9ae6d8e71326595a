"""A ledger of many receipts, computed from the file alone, is to the cent what an oracle makes of the same use.

A small one here; `make royalties` has 100,000 (`LEDGER_RECEIPTS`) and says how long it took.
"""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from support.governed import FOX, licence_grant, use_terms
from support.ledgers import LedgerWorld
from support.royalty_oracle import Done, due_by_period

from sdk.royalties.ledger import missing_receipts, verify_ledger
from sdk.royalties.report import report_of
from sdk.spec.ids import ConceptId
from sdk.spec.money import MINOR_DIGITS, Money
from sdk.spec.royalty import RoyaltyTerms

RECEIPTS = int(os.environ.get("LEDGER_RECEIPTS", "400"))
SHRINE, BRAND = ConceptId("demo/shrine"), ConceptId("demo/brand")
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
ROYALTIES = {
    "fox": RoyaltyTerms(currency="EUR", per_image="0.0325", period="month"),
    "shrine": RoyaltyTerms(currency="JPY", per_image="4.5", percent_of_fee="7.25", period="quarter"),
    "brand": RoyaltyTerms(currency="USD", percent_of_fee="3.3333", minimum_guarantee="250.00", period="month"),
}
COVERS = {"fox": FOX, "shrine": SHRINE, "brand": BRAND}
VERSIONS = {
    "demo/fox@1": ("fox",),
    "demo/fox@2": ("fox", "brand"),
    "demo/shrine@1": ("shrine",),
    "demo/brand@1": ("brand",),
    "demo/brand@2": ("brand", "shrine"),
}


def make_use(world: LedgerWorld, count: int) -> list[Done]:
    """`count` generations over a year in the order of time, and as many log entries of other things between them."""
    chance, done = random.Random(7), []
    for place in range(count):
        at = START + (END - START) * place / count + timedelta(microseconds=chance.randrange(1000))
        names = chance.sample(sorted(VERSIONS), chance.choice((1, 1, 1, 2, 3)))
        images = chance.choice((None, 1, 1, 2, 4, 8))
        fee = chance.choice(
            (None, ("USD", f"{chance.randrange(100_000) / 100:.2f}"), ("JPY", str(chance.randrange(9000))))
        )
        stated = Money(currency=fee[0], amount=fee[1]) if fee else None
        world.use(*names, images=images, count=images or 4, at=at, fee=stated)
        if images:
            rests = frozenset(licence for name in names for licence in VERSIONS[name])
            done.append(Done(at=at, images=images, licences=rests, fee=fee))
    return done


class TestLargeLedger:
    def test_comes_to_the_same_as_an_independent_count(self) -> None:
        term = use_terms(valid_from=START, valid_until=END)
        grants = {name: licence_grant(COVERS[name], terms=term, royalty=held) for name, held in ROYALTIES.items()}
        world = LedgerWorld(licences=grants, versions=VERSIONS)
        done = make_use(world, RECEIPTS)
        content = world.ledger()
        began = time.perf_counter()
        ledger = verify_ledger(content, world.trust)
        report = report_of(ledger, now=END)
        seconds = time.perf_counter() - began
        print(f"\n{RECEIPTS} receipts, {len(content) / 1e6:.1f} MB: verified and computed in {seconds:.1f} s")
        assert ledger.faults == ()
        assert missing_receipts(ledger, world.entries) == ()
        assert len(report.accounts) == 3
        names = {evidence.id: name for name, evidence in world.licences.items()}
        for account in report.accounts:
            name = names[account.licence]
            whole = [(period.starts.year, period.starts.month) for period in account.periods]
            expected = due_by_period(
                ROYALTIES[name], name, done, digits=MINOR_DIGITS[ROYALTIES[name].currency], whole=whole
            )
            found = {(p.starts.year, p.starts.month): Fraction(p.due) for p in account.periods}
            assert found == expected, name
            assert len(found) == (4 if name == "shrine" else 12)
            assert Fraction(account.due) == sum(expected.values())
            print(f"{name}: {account.uses} uses, {account.images} images, {account.terms.currency} {account.due}")
