"""What the registry says is due is what its own ledger comes to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.prepared import After
from support.registry import BASE_URL, RegistryUnderTest
from support.renewal import renewed
from support.versions import FOX, Steps, Submitted, accepted, refused, rules_of

from sdk.client import Client
from sdk.royalties.ledger import verify_ledger
from sdk.royalties.report import differences, report_of
from sdk.spec.canonical import encode_canonical
from sdk.spec.ids import ConceptId
from sdk.spec.ledger import LedgerQuery
from sdk.spec.money import Money
from sdk.spec.royalty import RoyaltyTerms
from sdk.spec.royalty_report import RoyaltyQuery, RoyaltyReport

SHRINE, GATE = ConceptId("demo/shrine"), ConceptId("demo/gate")
BY_IMAGE = RoyaltyTerms(currency="EUR", per_image="0.125", minimum_guarantee="1.00", period="month")
BY_FEE = RoyaltyTerms(currency="JPY", percent_of_fee="7.5", period="quarter")


@pytest.fixture
def used(after: After) -> Iterator[RegistryUnderTest]:
    with after(use).copy() as registry:
        yield registry


def use(registry: RegistryUnderTest) -> None:
    """June: fox (2 images), fox and shrine (2, for 4000 yen), an open one. July: shrine (1, for 12.00 euro)."""
    steps = Steps(registry)
    owed = {}
    for concept, royalty in ((FOX, BY_IMAGE), (SHRINE, BY_FEE)):
        owed[concept] = steps.licence(steps.concept(concept), royalty=royalty)["id"]
    fox = steps.approved(licences=(owed[FOX],))
    shrine = steps.approved(SHRINE, embedding=b"s", licences=(owed[SHRINE],))
    compose(steps, fox, key="a" * 16)
    compose(steps, fox, shrine, key="b" * 16, fee=Money(currency="JPY", amount="4000"))
    accepted(steps.compose(fox, key="c" * 16, count=3))
    registry.clock.advance(days=30)
    compose(steps, shrine, key="e" * 16, images=(b"three",), fee=Money(currency="EUR", amount="12.00"))
    registry.clock.advance(days=1)


def compose(steps: Steps, *used: Submitted, key: str, **result: Any) -> None:
    grant = accepted(steps.compose(*used, key=key))
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], *used, **result)))


def report(registry: RegistryUnderTest, name: str = "auditor", **members: Any) -> RoyaltyReport:
    with Client(BASE_URL, registry.credentials[name], transport=registry.transport) as client:
        return client.royalties(RoyaltyQuery(**members))


def recomputed(registry: RegistryUnderTest, claimed: RoyaltyReport, **members: Any) -> RoyaltyReport:
    with Client(BASE_URL, registry.credentials["auditor"], transport=registry.transport) as client:
        pages = list(client.ledger_pages(LedgerQuery(since=claimed.since, until=claimed.until, **members)))
    content = b"".join(encode_canonical(page) + b"\n" for page in pages)
    ledger = verify_ledger(content, registry.runtime.trust_root)
    assert ledger.faults == ()
    return report_of(ledger, now=claimed.until)


def licence_of(registry: RegistryUnderTest, concept: ConceptId) -> str:
    bundle = Steps(registry).get("reviewer", f"/v1/resolve?ref={concept}")
    licence: str = bundle["licences"][0]["id"]
    return licence


class TestRenewed:
    def test_each_use_counts_under_the_licence_that_held(self, used: RegistryUnderTest) -> None:
        steps = Steps(used)
        first = steps.licence(steps.concept(GATE), royalty=BY_IMAGE)["id"]
        gate = steps.approved(GATE, embedding=b"g", licences=(first,))
        compose(steps, gate, key="f" * 16)
        second = renewed(steps, gate, royalty=BY_IMAGE)["licences"][0]
        compose(steps, gate, key="g" * 16)
        compose(steps, gate, key="h" * 16)
        used.clock.advance(seconds=1)
        for held, images in ((first, 2), (second, 4)):
            claimed = report(used, licence=held)
            (account,) = claimed.accounts
            assert sum(period.images for period in account.periods) == images
            assert {line.versions for period in account.periods for line in period.lines} == {("demo/gate@1",)}
            assert claimed == recomputed(used, claimed, licence=held)
        claimed = report(used)
        assert list(differences(claimed, recomputed(used, claimed))) == []


class TestReport:
    def test_says_what_is_due_by_licence_and_period(self, used: RegistryUnderTest) -> None:
        found = {account.rights_holder + account.terms.currency: account for account in report(used).accounts}
        fox, shrine = found["holder-0001EUR"], found["holder-0001JPY"]
        assert [(p.starts.month, p.whole, p.images, p.earned, p.due) for p in fox.periods] == [
            (5, True, 0, "0", "1.00"),  # the term began on the last day of May
            (6, True, 4, "0.500", "1.00"),
            (7, False, 0, "0", "0.00"),
        ]
        assert [line.versions for line in fox.periods[1].lines] == [("demo/fox@1",)]
        assert [(p.starts.month, p.images, p.earned, p.due) for p in shrine.periods] == [
            (4, 2, "300.000", "300"),
            (7, 1, "0.000", "0"),
        ]
        assert [sum(line.unstated for line in p.lines) for p in shrine.periods] == [0, 1]
        assert (fox.due, shrine.due) == ("2.00", "300")
        assert (report(used).open_uses, report(used).open_images) == (1, 3)

    @pytest.mark.parametrize(
        "members",
        [{}, {"since": "2026-06-01T00:00:00Z"}, {"until": "2026-07-01T00:00:00Z"}, {"since": "2026-06-15T00:00:00Z"}],
    )
    def test_is_what_the_receipts_come_to(self, used: RegistryUnderTest, members: dict[str, Any]) -> None:
        claimed = report(used, **members)
        assert list(differences(claimed, recomputed(used, claimed))) == []
        for concept in (FOX, SHRINE):
            licence = licence_of(used, concept)
            claimed = report(used, licence=licence, **members)
            computed = recomputed(used, claimed, licence=licence)
            assert claimed == computed

    def test_that_says_otherwise_is_told(self, used: RegistryUnderTest) -> None:
        claimed = report(used)
        computed = recomputed(used, claimed)
        first, second = claimed.accounts
        less = first.model_copy(update={"due": "0.01", "periods": first.periods[1:]})
        told = list(differences(claimed.model_copy(update={"accounts": (less,)}), computed))
        assert len(told) == 3
        assert f"{first.licence}, from {first.periods[0].starts:%Y-%m-%d}: the report says nothing" in told[0]
        assert f"the report says {first.terms.currency} 0.01" in told[1]
        assert f"{second.licence}: {second.terms.currency} {second.due} by its receipts" in told[2]

    def test_of_a_licence_without_royalty_terms_is_refused(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        licence = steps.licence(steps.concept())["id"]
        answer = registry.client("auditor").get(f"/v1/royalties?licence={licence}")
        refused(answer, 422, "input.invalid", "has no royalty terms")
        assert report(registry).accounts == ()

    def test_of_a_time_to_come_is_refused(self, registry: RegistryUnderTest) -> None:
        answer = registry.client("auditor").get("/v1/royalties?since=2030-01-01T00:00:00Z")
        refused(answer, 422, "input.invalid", "it is 2026-06-01")


class TestReaders:
    def test_are_auditors_and_owners(self, used: RegistryUnderTest) -> None:
        assert len(report(used, "owner").accounts) == 2
        for name in ("app", "reviewer"):
            problem = refused(used.client(name).get("/v1/royalties"), 403, "policy.denied")
            assert rules_of(problem) == ["audit_access.generations-role"]
        assert report(used, "other-auditor").accounts == ()
