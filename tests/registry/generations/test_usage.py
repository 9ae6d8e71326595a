"""Usage is counted from what was recorded, and read only by whoever may read generations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.prepared import After
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import FOX, USE, Steps, accepted, refused, rules_of

from registry.generations import usage as counting
from sdk.client import Client
from sdk.errors import InputError
from sdk.spec.ids import ConceptId
from sdk.spec.usage import UsageDimension, UsageQuery, UsageReport

SHRINE = ConceptId("demo/shrine")
PATH = "/v1/generations/usage"


@pytest.fixture
def used(after: After) -> Iterator[RegistryUnderTest]:
    with after(use).copy() as registry:
        yield registry


def use(registry: RegistryUnderTest) -> None:
    """June: fox twice (4 images granted, 2 recorded), once with the shrine and for Germany, one refusal. July: one."""
    steps = Steps(registry)
    fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s")
    first = accepted(steps.compose(fox, key="a" * 16))
    accepted(steps.post("app", f"/v1/generations/{first['id']}/result", steps.result(first["id"], fox)))
    accepted(steps.compose(fox, shrine, key="b" * 16, use=USE.model_copy(update={"territory": "DE"})))
    refused(steps.compose(fox, key="c" * 16, use=USE.model_copy(update={"purpose": "politics"})), 403, "policy.denied")
    registry.clock.advance(days=30)
    accepted(steps.compose(fox, key="d" * 16, count=5))


def report(registry: RegistryUnderTest, name: str = "auditor", **members: Any) -> UsageReport:
    with Client(BASE_URL, registry.credentials[name], transport=registry.transport) as client:
        return client.usage(UsageQuery(**members))


def rows(found: UsageReport) -> dict[tuple[str, ...], tuple[int, ...]]:
    return {row.key: tuple(row.count.model_dump().values()) for row in found.rows}


class TestUsage:
    def test_by_concept_counts_a_picture_of_two_for_both_and_once_in_the_total(self, used: RegistryUnderTest) -> None:
        found = report(used)
        assert rows(found) == {("demo/fox",): (3, 1, 9, 2), ("demo/shrine",): (1, 0, 2, 0)}
        assert tuple(found.total.model_dump().values()) == (3, 1, 9, 2)

    def test_by_several_dimensions_in_the_order_asked_for(self, used: RegistryUnderTest) -> None:
        assert rows(report(used, by=("month", "version", "territory"))) == {
            ("2026-06", "demo/fox@1", "DE"): (1, 0, 2, 0),
            ("2026-06", "demo/fox@1", "JP"): (1, 1, 2, 2),
            ("2026-06", "demo/shrine@1", "DE"): (1, 0, 2, 0),
            ("2026-07", "demo/fox@1", "JP"): (1, 0, 5, 0),
        }

    def test_by_application_and_day(self, used: RegistryUnderTest) -> None:
        assert rows(report(used, by=("application", "day"))) == {
            ("demo/app", "2026-06-01"): (2, 1, 4, 2),
            ("demo/app", "2026-07-01"): (1, 0, 5, 0),
        }

    @pytest.mark.parametrize(
        ("members", "total"),
        [
            ({"concept": SHRINE}, (1, 0, 2, 0)),
            ({"territory": "DE"}, (1, 0, 2, 0)),
            ({"application": "demo/other"}, (0, 0, 0, 0)),
            ({"since": "2026-06-15T00:00:00Z"}, (1, 0, 5, 0)),
            ({"until": "2026-06-15T00:00:00Z"}, (2, 1, 4, 2)),
        ],
    )
    def test_of_a_part(self, used: RegistryUnderTest, members: dict[str, Any], total: tuple[int, ...]) -> None:
        assert tuple(report(used, **members).total.model_dump().values()) == total

    def test_of_one_concept_lists_no_other(self, used: RegistryUnderTest) -> None:
        assert list(rows(report(used, concept=FOX, by=("concept", "territory")))) == [
            ("demo/fox", "DE"),
            ("demo/fox", "JP"),
        ]

    def test_is_refused_rather_than_cut_short(self, used: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(counting, "MAX_ROWS", 1)
        with pytest.raises(InputError, match="shorter period"):
            report(used)

    def test_names_a_dimension_once(self, used: RegistryUnderTest) -> None:
        answer: httpx.Response = used.client("auditor").get(f"{PATH}?by=day&by=day")
        refused(answer, 422, "input.invalid", "named twice")


class TestReaders:
    @pytest.mark.parametrize("name", ["auditor", "owner", "app"])
    def test_may_ask(self, used: RegistryUnderTest, name: str) -> None:
        assert report(used, name).total.permitted == 3

    def test_others_may_not(self, used: RegistryUnderTest) -> None:
        problem = refused(used.client("reviewer").get(PATH), 403, "policy.denied")
        assert rules_of(problem) == ["audit_access.generations-role"]

    def test_an_application_reads_only_its_own(self, used: RegistryUnderTest) -> None:
        refused(Steps(used).compose(Steps(used).approved(), name="trainer", key="t" * 16), 403, "policy.denied")
        assert report(used, "app", by=("application",)).total.denied == 1
        assert report(used, by=("application",)).total.denied == 2
        assert report(used, "app", application="demo/trainer").rows == ()

    def test_another_tenant_reads_nothing(self, used: RegistryUnderTest) -> None:
        assert report(used, "other-auditor", by=tuple(UsageDimension)).rows == ()
