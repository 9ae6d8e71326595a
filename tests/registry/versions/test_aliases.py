"""Tests of registry.versions.aliases: several at once, compare and swap, only what is approved, one winner."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy.orm import Session
from support.at_once import one_after_the_other
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, assert_insert_only, caller, refused

from registry.versions.aliases import set_aliases
from sdk.errors import Conflict
from sdk.signing.receipts import verify_receipt
from sdk.signing.trust import verify_checkpoint
from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import AliasName, ConceptId
from sdk.spec.log_entry import LogReceipt, parse_log_entry

DEN = ConceptId("demo/den")
STABLE = AliasName("stable")


def change(number: int, concept: ConceptId = FOX, alias: str = "stable", expected: int | None = None) -> AliasChange:
    return AliasChange(concept=concept, alias=AliasName(alias), number=number, expected=expected)


def post(registry: RegistryUnderTest, *changes: AliasChange, name: str = "owner") -> httpx.Response:
    return Steps(registry).post(name, "/v1/aliases", AliasChanges(changes=changes))


def resolved(registry: RegistryUnderTest, ref: str) -> int:
    return accepted(registry.client("app").get("/v1/resolve", params={"ref": ref}))["number"]


class TestSet:
    def test_an_alias_resolves_to_its_version_even_when_another_is_approved(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(embedding=b"1")
        accepted(post(registry, change(1)))
        steps.approved(embedding=b"2")
        bundle = accepted(registry.client("app").get("/v1/resolve", params={"ref": "demo/fox@stable"}))
        assert (bundle["number"], bundle["status"]) == (1, "superseded")
        assert resolved(registry, "demo/fox") == 2

    def test_several_are_set_in_one_act_with_a_proof_of_each(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(embedding=b"1")
        steps.approved(DEN, embedding=b"2")
        answer = accepted(post(registry, change(1), change(1, DEN)))
        entries = []
        for view, receipt in zip(answer["aliases"], answer["receipts"], strict=True):
            parsed = validate_wire(LogReceipt, receipt, "receipt")
            entry = verify_receipt(parsed, registry.runtime.trust_root)
            assert parsed.index == view["log_index"]
            entries.append((entry.subject, entry.facts, entry.evidence["act"]))
        facts = {"number": "1", "before": "0"}
        act = entries[0][2]
        assert entries == [("demo/fox@stable", facts, act), ("demo/den@stable", facts, act)]

    def test_nothing_is_set_when_one_of_several_cannot_be(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(embedding=b"1")
        steps.submitted(DEN, embedding=b"2")
        refused(post(registry, change(1), change(1, DEN)), 422, "verification.not_approved", "demo/den@1 is submitted")
        refused(registry.client("app").get("/v1/resolve", params={"ref": "demo/fox@stable"}), 404, "resource.not_found")
        assert steps.events("demo/fox@stable") == []

    def test_only_approved_versions_are_named(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        steps.revoke(version)
        refused(post(registry, change(1)), 422, "verification.not_approved", "revoked")

    def test_taking_an_alias_away_keeps_its_history(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved()
        accepted(post(registry, change(1)))
        accepted(post(registry, change(0)))
        refused(registry.client("app").get("/v1/resolve", params={"ref": "demo/fox@stable"}), 404, "resource.not_found")
        meanings = steps.get("auditor", "/v1/concepts/demo/fox/aliases/stable")["aliases"]
        assert [view["number"] for view in meanings] == [1, 0]
        assert steps.events("demo/fox@stable") == [("alias:set", "demo/owner")] * 2

    def test_what_names_nothing_is_not_taken_away(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        for _ in range(2):
            refused(post(registry, change(0)), 404, "resource.not_found", "there is nothing to remove")
            refused(post(registry, change(0, expected=1)), 409, "resource.conflict", "not 1 as expected")
        assert Steps(registry).events("demo/fox@stable") == []

    @pytest.mark.parametrize("name", ["app", "auditor", "training-service"])
    def test_is_for_owners_and_reviewers(self, registry: RegistryUnderTest, name: str) -> None:
        Steps(registry).approved()
        refused(post(registry, change(1), name=name), 403, "auth.forbidden", "owner or reviewer")

    def test_refuses_an_alias_named_twice(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        refused(post(registry, change(1), change(0)), 422, "input.invalid", "named twice")

    def test_a_number_is_no_alias(self, registry: RegistryUnderTest) -> None:
        body = '{"changes": [{"concept": "demo/fox", "alias": "2", "number": 1}]}'
        answer = registry.client("owner").post(
            "/v1/aliases", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422

    def test_is_insert_only(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        accepted(post(registry, change(1)))
        assert_insert_only(registry, "version_aliases")


class TestCompareAndSwap:
    def test_tells_what_the_alias_names_instead(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(embedding=b"1")
        accepted(post(registry, change(1, expected=0)))
        steps.approved(embedding=b"2")
        says = "demo/fox@stable names version 1 since 2026-06-01T12:00:00Z, set by demo/owner, not none as expected"
        refused(post(registry, change(2, expected=0)), 409, "resource.conflict", says)
        accepted(post(registry, change(2, expected=1)))
        assert resolved(registry, "demo/fox@stable") == 2

    def test_of_two_at_once_one_wins(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()

        def swap(session: Session) -> object:
            changes = AliasChanges(changes=(change(1, expected=0),))
            return set_aliases(session, registry.runtime, caller(registry, "owner"), changes)

        late = one_after_the_other(registry, swap, swap)
        assert isinstance(late, Conflict)
        assert "names version 1" in late.message


class TestTenants:
    def test_an_alias_of_another_tenant_is_not_found(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        accepted(post(registry, change(1)))
        other = registry.client("other-owner")
        for ref in ("demo/fox@stable", "demo/fox@1"):
            refused(other.get("/v1/resolve", params={"ref": ref}), 404, "resource.not_found")
        refused(other.get("/v1/concepts/demo/fox/aliases/stable"), 404, "resource.not_found")
        assert accepted(other.get("/v1/aliases"))["aliases"] == []
        refused(post(registry, change(1), name="other-owner"), 404, "resource.not_found")


class TestReceipts:
    def test_come_under_one_checkpoint(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(embedding=b"1")
        answer = accepted(post(registry, change(1), change(1, alias="web")))
        receipts = [validate_wire(LogReceipt, receipt, "receipt") for receipt in answer["receipts"]]
        assert len({receipt.checkpoint for receipt in receipts}) == 1
        checkpoint = verify_checkpoint(receipts[0].checkpoint.encode(), registry.runtime.trust_root)
        assert checkpoint.tree_size > receipts[1].index
        assert parse_log_entry(receipts[1].entry).subject == "demo/fox@web"
