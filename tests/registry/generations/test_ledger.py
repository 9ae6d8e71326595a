"""The ledger that the registry hands out proves what was used, receipt by receipt, and nobody else may read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.prepared import After
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import FOX, USE, Steps, accepted, refused, rules_of

from sdk.audit import verify_log
from sdk.client import Client
from sdk.royalties.ledger import VerifiedLedger, missing_receipts, verify_ledger
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.ledger import LedgerPage, LedgerQuery

SHRINE = ConceptId("demo/shrine")
PATH = "/v1/royalties/ledger"


@pytest.fixture
def used(after: After) -> Iterator[RegistryUnderTest]:
    with after(use).copy() as registry:
        yield registry


def use(registry: RegistryUnderTest) -> None:
    """June: the fox alone (recorded), fox and shrine (recorded), fox (open), a refusal. July: the shrine (recorded)."""
    steps = Steps(registry)
    fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s")
    for key, versions in (("a" * 16, (fox,)), ("b" * 16, (fox, shrine))):
        grant = accepted(steps.compose(*versions, key=key))
        accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], *versions)))
    accepted(steps.compose(fox, key="c" * 16, count=3))
    refused(steps.compose(fox, key="d" * 16, use=USE.model_copy(update={"purpose": "politics"})), 403, "policy.denied")
    registry.clock.advance(days=30)
    grant = accepted(steps.compose(shrine, key="e" * 16))
    result = steps.result(grant["id"], shrine, images=(b"three",))
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", result))


def pages(registry: RegistryUnderTest, name: str = "auditor", **members: Any) -> list[LedgerPage]:
    with Client(BASE_URL, registry.credentials[name], transport=registry.transport) as client:
        return list(client.ledger_pages(LedgerQuery(**members)))


def verified(registry: RegistryUnderTest, read: list[LedgerPage]) -> VerifiedLedger:
    content = b"".join(encode_canonical(page) + b"\n" for page in read)
    return verify_ledger(content, registry.runtime.trust_root)


def record_late(registry: RegistryUnderTest) -> None:
    """The result of the one open generation, whatever its grant says."""
    steps = Steps(registry)
    generation = next(use.generation for use in verified(registry, pages(registry)).uses if use.images is None)
    intent = steps.get("auditor", f"/v1/generations/{generation}")["intent"]
    result = steps.result(generation, manifests=tuple(map(Digest, intent["manifests"])))
    accepted(steps.post("app", f"/v1/generations/{generation}/result", result))


def licence_of(registry: RegistryUnderTest, concept: ConceptId) -> RecordId:
    bundle = Steps(registry).get("reviewer", f"/v1/resolve?ref={concept}")
    return RecordId(bundle["licences"][0]["id"])


def counts(ledger: VerifiedLedger) -> list[tuple[int, int | None, tuple[tuple[str, ...], ...]]]:
    return [(use.granted, use.images, tuple(use.versions.values())) for use in ledger.uses]


BOTH = (("demo/fox@1",), ("demo/shrine@1",))


class TestLedger:
    def test_proves_every_use_and_no_refusal(self, used: RegistryUnderTest) -> None:
        ledger = verified(used, pages(used))
        assert ledger.faults == ()
        assert counts(ledger) == [
            (2, 2, (("demo/fox@1",),)),
            (2, 2, BOTH),
            (3, None, (("demo/fox@1",),)),
            (2, 1, (("demo/shrine@1",),)),
        ]
        assert [(use.application, use.use) for use in ledger.uses] == [("demo/app", USE)] * 4
        assert set(ledger.licences) == {licence_of(used, FOX), licence_of(used, SHRINE)}

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_is_the_same_in_pages_of_any_size(self, used: RegistryUnderTest, limit: int) -> None:
        read = pages(used, limit=limit)
        assert [len(page.receipts) for page in read] == [limit] * (4 // limit) + [4 % limit] * bool(4 % limit)
        ledger = verified(used, read)
        assert (ledger.faults, len(ledger.uses)) == ((), 4)

    def test_of_one_licence_shows_no_other_terms(self, used: RegistryUnderTest) -> None:
        licence = licence_of(used, SHRINE)
        read = pages(used, licence=licence)
        ledger = verified(used, read)
        assert (ledger.faults, set(ledger.licences)) == ((), {licence})
        assert counts(ledger) == [(2, 2, (("demo/shrine@1",),)), (2, 1, (("demo/shrine@1",),))]
        assert licence_of(used, FOX) not in encode_canonical(read[0]).decode()

    @pytest.mark.parametrize(
        ("members", "images"),
        [
            ({"since": "2026-06-15T00:00:00Z"}, [1]),
            ({"until": "2026-06-15T00:00:00Z"}, [2, 2, None]),
            ({"since": "2026-06-01T12:00:00Z", "until": "2026-06-01T12:00:01Z"}, [2, 2, None]),
            ({"since": "2026-06-01T11:00:00Z", "until": "2026-06-01T12:00:00Z"}, []),
        ],
    )
    def test_of_a_period_begins_on_its_first_moment_and_ends_before_its_last(
        self, used: RegistryUnderTest, members: dict[str, Any], images: list[int | None]
    ) -> None:
        ledger = verified(used, pages(used, **members))
        assert ([use.images for use in ledger.uses], ledger.faults) == (images, ())

    def test_stays_at_the_log_of_its_first_page(self, used: RegistryUnderTest) -> None:
        with Client(BASE_URL, used.credentials["auditor"], transport=used.transport) as client:
            reading = client.ledger_pages(LedgerQuery(limit=3))
            read = [next(reading)]
            record_late(used)
            read += list(reading)
        ledger = verified(used, read)
        assert ledger.faults == ()
        assert [use.images for use in ledger.uses] == [2, 2, None, 1]
        assert [use.images for use in verified(used, pages(used)).uses] == [2, 2, 2, 1]

    def test_lacks_nothing_that_the_log_records(self, used: RegistryUnderTest) -> None:
        read = pages(used, limit=1)
        with Client(BASE_URL, "imp_none", transport=used.transport) as anybody:
            log = verify_log(anybody, used.runtime.trust_root)
        assert missing_receipts(verified(used, read), log.entries) == ()
        without = read[0].model_copy(update={"next_after": read[1].next_after})
        short = verified(used, [without, *read[2:]])
        assert short.faults == ()
        missing = missing_receipts(short, log.entries)
        assert [fault.about for fault in missing] == [verified(used, read).uses[1].generation]
        assert "records its result, but the ledger has no receipt" in missing[0].says

    def test_may_end_with_time_itself(self, used: RegistryUnderTest) -> None:
        assert len(pages(used, until="9999-12-31T23:59:59Z")) == len(pages(used))

    def test_beyond_the_log_is_refused(self, used: RegistryUnderTest) -> None:
        refused(used.client("auditor").get(f"{PATH}?size=100000"), 422, "input.invalid", "there is no ledger")

    def test_of_nothing_is_one_page_that_holds(self, registry: RegistryUnderTest) -> None:
        ledger = verified(registry, pages(registry))
        assert (ledger.uses, ledger.faults, ledger.tenant) == ((), (), "demo")


class TestReaders:
    @pytest.mark.parametrize("name", ["auditor", "owner"])
    def test_may_export_it(self, used: RegistryUnderTest, name: str) -> None:
        assert len(verified(used, pages(used, name)).uses) == 4

    @pytest.mark.parametrize("name", ["app", "reviewer"])
    def test_others_may_not(self, used: RegistryUnderTest, name: str) -> None:
        problem = refused(used.client(name).get(PATH), 403, "policy.denied")
        assert rules_of(problem) == ["audit_access.generations-role"]

    def test_another_tenant_has_none_of_it(self, used: RegistryUnderTest) -> None:
        assert verified(used, pages(used, "other-auditor")).uses == ()
        answer = used.client("other-auditor").get(f"{PATH}?licence={licence_of(used, FOX)}")
        refused(answer, 404, "resource.not_found")
