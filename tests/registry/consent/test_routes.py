"""Tests of registry.consent, and of what a withdrawal does (registry.versions.withdrawal)."""

from __future__ import annotations

import pytest
from support.governed import SALT, consent_record, licence_grant
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, assert_insert_only, refused, rules_of

from sdk.signing.receipts import verify_receipt
from sdk.signing.trust import verify_checkpoint
from sdk.spec.api import RecordAccepted, Withdrawal
from sdk.spec.canonical import encode_canonical
from sdk.spec.consent_events import ConsentReceipt
from sdk.spec.digest import Digest
from sdk.spec.dpv import receipt_to_dpv
from sdk.spec.ids import ConceptId, TenantName
from sdk.spec.odrl import licence_to_odrl
from sdk.spec.terms import ConsentEvidence, LicenceEvidence

SHRINE = ConceptId("demo/shrine")


class TestRecords:
    def test_comes_back_with_the_digest_of_its_content(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        record = consent_record(terms=steps.terms(), salt=SALT)
        given = RecordAccepted.model_validate(accepted(steps.post("owner", "/v1/consents", record)))
        evidence = ConsentEvidence.model_validate(steps.get("reviewer", f"/v1/consents/{given.id}"))
        assert evidence.record == record
        assert evidence.digest == given.digest == Digest.of(encode_canonical(record))
        assert evidence.status.value == "given"

    def test_a_receipt_proves_the_entry(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        given = RecordAccepted.model_validate(steps.consent(FOX))
        entry = verify_receipt(given.receipt, registry.runtime.trust_root)
        assert (entry.event.value, entry.subject) == ("consent:given", given.id)
        assert entry.evidence["record"] == given.digest
        assert verify_checkpoint(given.receipt.checkpoint.encode(), registry.runtime.trust_root)

    def test_about_a_person_needs_a_salt(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(
            steps.post("owner", "/v1/consents", consent_record(terms=steps.terms())),
            422,
            "input.invalid",
            "salt is missing",
        )

    def test_the_same_record_again_is_the_same_record(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first, again = steps.consent(FOX), steps.consent(FOX)
        assert (first["id"], first["receipt"]["index"]) == (again["id"], again["receipt"]["index"])
        assert len(steps.events(first["id"])) == 1

    def test_licences_likewise(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        grant = licence_grant(terms=steps.terms())
        granted = RecordAccepted.model_validate(accepted(steps.post("owner", "/v1/licences", grant)))
        evidence = LicenceEvidence.model_validate(steps.get("app", f"/v1/licences/{granted.id}"))
        assert (evidence.grant, evidence.digest) == (grant, granted.digest)
        assert steps.events(granted.id) == [("licence:granted", "demo/owner")]

    @pytest.mark.parametrize("path", ["consents", "licences"])
    def test_only_owners_record_them_and_only_about_their_tenant(self, registry: RegistryUnderTest, path: str) -> None:
        steps = Steps(registry)
        body = (
            consent_record(terms=steps.terms(), salt=SALT) if path == "consents" else licence_grant(terms=steps.terms())
        )
        refused(steps.post("app", f"/v1/{path}", body), 403, "auth.forbidden")
        refused(steps.post("other-owner", f"/v1/{path}", body), 422, "input.invalid", "not of other")

    def test_records_of_another_tenant_are_not_found(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for path in (f"/v1/consents/{steps.consent(FOX)['id']}", f"/v1/licences/{steps.licence(FOX)['id']}"):
            refused(registry.client("other-owner").get(path), 404, "resource.not_found")

    def test_a_consent_expires_by_the_clock(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        path = f"/v1/consents/{steps.consent(FOX)['id']}"
        registry.clock.advance(days=100)
        assert steps.get("owner", path)["status"] == "expired"


class TestExport:
    def test_is_json_ld_of_the_very_record(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        consent, licence = steps.consent(FOX)["id"], steps.licence(FOX)["id"]
        answers = [
            registry.client("auditor").get(path)
            for path in (f"/v1/consents/{consent}/export", f"/v1/licences/{licence}/export")
        ]
        assert [answer.headers["content-type"] for answer in answers] == ["application/ld+json"] * 2
        receipt = ConsentReceipt.model_validate(steps.get("auditor", f"/v1/consents/{consent}/receipt"))
        assert answers[0].json() == receipt_to_dpv(receipt)
        held = LicenceEvidence.model_validate(steps.get("auditor", f"/v1/licences/{licence}"))
        assert answers[1].json() == licence_to_odrl(held, TenantName("demo"))


class TestReceipt:
    @pytest.mark.parametrize("part", ["receipt", "export"])
    def test_is_for_those_who_may_list_consents(self, registry: RegistryUnderTest, part: str) -> None:
        steps = Steps(registry)
        path = f"/v1/consents/{steps.consent(FOX)['id']}/{part}"
        for name in ("owner", "admin", "reviewer", "auditor", "trainer"):
            accepted(registry.client(name).get(path))
        for name in ("app", "renderer", "training-service"):
            refused(registry.client(name).get(path), 403, "auth.forbidden", "this needs owner or admin")

    def test_of_somebody_else_is_not_opened_by_the_role_of_subject(self, registry: RegistryUnderTest) -> None:
        consent = Steps(registry).consent(FOX)["id"]
        roles = {"principal": "demo/shop", "roles": ["app", "subject"]}
        issued = accepted(registry.client("admin").post("/v1/credentials", json=roles))
        headers = {"Authorization": f"Bearer {issued['text']}"}
        shop = registry.client(None)
        assert accepted(shop.get("/v1/consents", headers=headers))["consents"] == []
        for part in ("receipt", "export"):
            answer = shop.get(f"/v1/consents/{consent}/{part}", headers=headers)
            refused(answer, 404, "resource.not_found")


class TestWithdrawal:
    def test_suspends_every_approved_version_that_rests_on_it(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        shared = steps.consent(FOX, covers=(FOX, SHRINE))["id"]
        fox = steps.approved(FOX, consents=(shared,))
        shrine = steps.approved(SHRINE, consents=(shared,), embedding=b"s")
        other = steps.approved(ConceptId("demo/other"), embedding=b"o")
        accepted(steps.withdraw(fox))
        statuses = {v.name: steps.get("owner", v.path)["status"] for v in (fox, shrine, other)}
        assert statuses == {"demo/fox@1": "suspended", "demo/shrine@1": "suspended", "demo/other@1": "approved"}
        for version in (fox, shrine):
            assert steps.events(version.name)[-1] == ("version:suspended", "demo/owner")
        assert steps.get("owner", f"/v1/consents/{shared}")["status"] == "withdrawn"

    def test_its_receipt_is_of_the_withdrawal(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        withdrawn = RecordAccepted.model_validate(accepted(steps.withdraw(steps.submitted())))
        entry = verify_receipt(withdrawn.receipt, registry.runtime.trust_root)
        assert (entry.event.value, entry.subject) == ("consent:withdrawn", withdrawn.id)

    def test_what_waits_for_review_can_no_longer_be_approved(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.withdraw(version))
        assert rules_of(refused(steps.review(version), 403, "policy.denied")) == ["approval.consent"]

    def test_is_final(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.withdraw(version))
        refused(steps.withdraw(version), 409, "resource.conflict", "was withdrawn at")

    def test_refuses_those_who_may_not(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        refused(steps.withdraw(version, "app"), 403, "auth.forbidden")
        refused(steps.withdraw(version, "other-owner"), 404, "resource.not_found")
        missing = "/v1/consents/con_aaaaaaaaaaaaaaaaaaaaaaaaaa/withdrawal"
        refused(steps.post("owner", missing, Withdrawal(reason="x")), 404, "resource.not_found")

    def test_the_reason_stays_out_of_the_log(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.withdraw(steps.approved()))
        page = registry.client("auditor").get("/v1/log/entries", params={"limit": 1000}).text
        assert "asked to" not in page


class TestEvidence:
    def test_rows_are_never_changed_or_removed(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.withdraw(steps.submitted()))
        for table in ("consents", "consent_withdrawals", "licences"):
            assert_insert_only(registry, table)
