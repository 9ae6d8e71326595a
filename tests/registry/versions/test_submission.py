"""Tests of registry.versions: what may be submitted, lists, resolving; each check with just its own error."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.governed import learned_embedding
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, assert_insert_only, refused

from registry.versions.lifecycle import STORED, TRANSITIONS
from sdk.spec.api import VersionSubmission
from sdk.spec.bundle import VersionBundle
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, parse_version_ref
from sdk.spec.manifest import ConceptKind, encode_manifest
from sdk.spec.statements import RejectionPredicate, TrainingPredicate, parse_predicate, parse_statement
from sdk.verify import verify_submission, verify_version


class TestSubmit:
    def test_the_first_version_is_number_one_and_waits(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        view = accepted(steps.submit(manifest))
        assert (view["number"], view["status"], view["manifest"]) == (1, "submitted", manifest.digest)
        assert (view["approvals"], view["approvals_required"]) == (0, 1)
        assert steps.events("demo/fox@1") == [("version:submitted", "demo/training-service")]

    def test_the_same_manifest_again_is_the_same_version(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        assert accepted(steps.submit(manifest)) == accepted(steps.submit(manifest))
        assert len(steps.events("demo/fox@1")) == 1

    def test_another_manifest_is_the_next_version(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        numbers = [steps.submitted(embedding=content).number for content in (b"1", b"2")]
        assert numbers == [1, 2]
        listed = steps.get("owner", "/v1/concepts/demo/fox/versions")["versions"]
        assert [view["number"] for view in listed] == [1, 2]

    def test_a_person_needs_two_reviewers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        view = accepted(steps.submit(steps.manifest(kind=ConceptKind.PERSON)))
        assert view["approvals_required"] == 2

    def test_a_verifier_accepts_what_was_submitted(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        bundle = VersionBundle.model_validate(steps.get("app", version.path))
        trust, now = registry.runtime.trust_root, registry.clock.now
        verified = verify_submission(bundle, ref=parse_version_ref("demo/fox@1"), trust=trust, now=now)
        assert verified.manifest == version.manifest


class TestSubmitRefuses:
    """One fault a test; the manifest is good in everything else."""

    def test_callers_who_are_no_training_service(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(steps.submit(steps.manifest(), name="trainer"), 403, "auth.forbidden", "training-service")

    def test_a_manifest_of_another_concept_than_the_path(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        steps.concept(ConceptId("demo/other"))
        body = VersionSubmission(manifest=encode_manifest(manifest), attestation=steps.attest(manifest))
        answer = steps.post("training-service", "/v1/concepts/demo/other/versions", body)
        refused(answer, 422, "input.invalid", "the manifest is of demo/fox")

    def test_bytes_that_are_not_canonical(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        body = VersionSubmission(manifest=encode_manifest(manifest) + b" ", attestation=steps.attest(manifest))
        refused(steps.post("training-service", "/v1/concepts/demo/fox/versions", body), 422, "format.invalid")

    def test_a_concept_that_does_not_exist(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest().model_copy(update={"concept": ConceptId("demo/nobody")})
        refused(steps.submit(manifest), 404, "resource.not_found", "demo/nobody")

    def test_another_kind_than_the_concept_has(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest().model_copy(update={"kind": ConceptKind.LOGO})
        refused(steps.submit(manifest), 422, "input.invalid", "is a subject, but the manifest says logo")

    def test_an_attestation_by_a_key_that_is_not_for_training(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        answer = steps.submit(manifest, attestation=steps.attest(manifest, "reviewer"))
        refused(answer, 422, "verification.signature")

    def test_an_attestation_that_is_another_kind_of_statement(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        predicate = RejectionPredicate(
            concept=FOX, number=1, reviewer=PrincipalId("demo/x"), reason="x", signed_at=registry.clock.now
        )
        envelope = steps.sign(predicate, "training-service", {"demo/fox": manifest.digest})
        refused(steps.submit(manifest, attestation=envelope), 422, "format.invalid", "training/v1")

    @pytest.mark.parametrize("subjects", [{"demo/fox": b"other"}, {"demo/shrine": None}, {"demo/fox": None, "x": b"y"}])
    def test_an_attestation_about_something_else(
        self, registry: RegistryUnderTest, subjects: dict[str, bytes | None]
    ) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        about = {name: Digest.of(other) if other else manifest.digest for name, other in subjects.items()}
        good = steps.attest(manifest)
        said = parse_predicate(parse_statement(good.payload, good.payload_type), TrainingPredicate)
        envelope = steps.sign(said, "training-service", about)
        refused(steps.submit(manifest, attestation=envelope), 422, "verification.failed", "should be about demo/fox")

    @pytest.mark.parametrize("field", ["concept", "record"])
    def test_an_attestation_of_another_training(self, registry: RegistryUnderTest, field: str) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        other: dict[str, Any] = {
            "concept": ConceptId("demo/other"),
            "record": manifest.training.model_copy(update={"seed": 8}),
        }
        envelope = steps.attest(manifest, **{field: other[field]})
        refused(steps.submit(manifest, attestation=envelope), 422, "verification.failed", "another training")

    def test_an_artefact_that_was_not_uploaded(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        gone = manifest.artefacts[0].model_copy(update={"digest": Digest.of(b"never uploaded")})
        refused(steps.submit(manifest.model_copy(update={"artefacts": (gone,)})), 404, "resource.not_found", "no blob")

    def test_an_artefact_of_another_size(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        larger = manifest.artefacts[0].model_copy(update={"size": 2})
        answer = steps.submit(manifest.model_copy(update={"artefacts": (larger,)}))
        refused(answer, 422, "input.invalid", f"has {manifest.artefacts[0].size} bytes, the manifest says 2")

    @pytest.mark.parametrize(("change", "says"), [(b"nothing but text", "no safetensors file"), (None, "not finite")])
    def test_an_embedding_that_is_not_the_one_described(
        self, registry: RegistryUnderTest, change: bytes | None, says: str
    ) -> None:
        steps = Steps(registry)
        learned = learned_embedding(b"e", FOX)
        content = (change or learned[:-4] + b"\x00\x00\xc0\x7f").ljust(len(learned), b" ")
        steps.upload(content)
        manifest = steps.manifest()
        other = manifest.artefacts[0].model_copy(update={"digest": Digest.of(content)})
        answer = steps.submit(manifest.model_copy(update={"artefacts": (other,)}))
        refused(answer, 422, "format.invalid", says)

    @pytest.mark.parametrize("records", ["consents", "licences"])
    def test_a_record_that_is_not_there(self, registry: RegistryUnderTest, records: str) -> None:
        steps = Steps(registry)
        prefix = records[:3]
        missing = RecordId(f"{prefix}_{'a' * 26}")
        answer = steps.submit(steps.manifest(**{records: (missing,)}))
        refused(answer, 404, "resource.not_found", missing)

    @pytest.mark.parametrize("kind", ["consent", "licence"])
    def test_a_record_that_does_not_name_the_concept(self, registry: RegistryUnderTest, kind: str) -> None:
        steps = Steps(registry)
        other = getattr(steps, kind)(ConceptId("demo/other"))["id"]
        answer = steps.submit(steps.manifest(**{f"{kind}s": (RecordId(other),)}))
        refused(answer, 422, "input.invalid", "does not name demo/fox")

    @pytest.mark.parametrize("kind", ["consent", "licence"])
    def test_a_record_outside_its_term(self, registry: RegistryUnderTest, kind: str) -> None:
        steps = Steps(registry)
        short = getattr(steps, kind)(FOX, terms=steps.terms(valid_until=registry.clock.now))["id"]
        answer = steps.submit(steps.manifest(**{f"{kind}s": (RecordId(short),)}))
        refused(answer, 422, "input.invalid", f"a {kind} of demo/fox is")

    def test_a_consent_that_was_withdrawn(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.withdraw(version))
        answer = steps.submit(steps.manifest(embedding=b"2", consents=(version.consent,)))
        refused(answer, 422, "input.invalid", "a consent of demo/fox is withdrawn")

    def test_a_training_that_another_tenant_requested(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifest = steps.manifest()
        training = manifest.training.model_copy(update={"requested_by": PrincipalId("other/trainer")})
        refused(
            steps.submit(manifest.model_copy(update={"training": training})), 422, "input.invalid", "another tenant"
        )


class TestResolve:
    def resolved(self, steps: Steps, ref: str) -> tuple[int, str]:
        bundle = steps.get("app", f"/v1/resolve?ref={ref}")
        return bundle["number"], bundle["status"]

    def test_a_concept_means_its_approved_version(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(embedding=b"1")
        second = steps.submitted(embedding=b"2")
        assert self.resolved(steps, "demo/fox") == (1, "approved")
        assert self.resolved(steps, "demo/fox@2") == (2, "submitted")
        assert self.resolved(steps, f"demo/fox@{second.manifest.digest}") == (2, "submitted")

    def test_an_approved_version_verifies(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved()
        bundle = VersionBundle.model_validate(steps.get("app", "/v1/resolve?ref=demo/fox"))
        ref, trust = parse_version_ref("demo/fox"), registry.runtime.trust_root
        listed = registry.client(None).get("/v1/status/demo/0").content
        verified = verify_version(bundle, ref=ref, trust=trust, now=registry.clock.now, status_list=listed)
        assert verified.approvers == ("demo/reviewer",)

    def test_without_an_approved_version_it_says_how_things_stand(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        client = registry.client("app")
        path = "/v1/resolve?ref=demo/fox"
        refused(client.get(path), 422, "verification.not_approved", "demo/fox@1, is submitted")
        accepted(steps.review(version))
        accepted(steps.revoke(version))
        refused(client.get(path), 422, "verification.not_approved", "demo/fox@1, is revoked")

    @pytest.mark.parametrize(
        ("ref", "status", "code"),
        [
            ("demo/none", 404, "resource.not_found"),
            ("demo/fox@2", 404, "resource.not_found"),
            ("demo/fox@stable", 404, "resource.not_found"),
            (f"demo/fox@{Digest.of(b'x')}", 404, "resource.not_found"),
            ("demo/fox@", 422, "format.invalid"),
        ],
    )
    def test_refuses_what_is_not_there(self, registry: RegistryUnderTest, ref: str, status: int, code: str) -> None:
        Steps(registry).approved()
        refused(registry.client("app").get("/v1/resolve", params={"ref": ref}), status, code)

    def test_a_manifest_of_another_concept_is_not_this_concept(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).approved()
        ref = f"demo/shrine@{version.manifest.digest}"
        refused(registry.client("app").get("/v1/resolve", params={"ref": ref}), 404, "resource.not_found", "another")

    def test_versions_of_another_tenant_are_not_found(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).approved()
        client = registry.client("other-app")
        for path in (version.path, "/v1/resolve?ref=demo/fox", "/v1/concepts/demo/fox/versions"):
            refused(client.get(path), 404, "resource.not_found")

    def test_a_version_expires_with_its_terms_without_anybody_writing_it(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved()
        registry.clock.advance(days=100)
        assert self.resolved(steps, "demo/fox") == (1, "expired")


class TestDatabaseRepeatsTheRules:
    def execute(self, registry: RegistryUnderTest, statement: str) -> None:
        with registry.engine.begin() as connection:
            connection.execute(text(statement))

    def test_versions_are_never_changed_or_removed(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        for table in ("concept_versions", "version_consents"):
            assert_insert_only(registry, table)

    def test_one_approved_version_a_concept(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(embedding=b"1")
        steps.submitted(embedding=b"2")
        with pytest.raises(DBAPIError, match="uq_version_states_one_approved"):
            self.execute(registry, "UPDATE version_states SET status = 'approved' WHERE number = 2")

    def test_no_status_out_of_the_vocabulary(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        for status in ("splendid", "expired"):
            with pytest.raises(DBAPIError, match="does not go from submitted to"):
                self.execute(registry, f"UPDATE version_states SET status = '{status}'")
            with pytest.raises(DBAPIError, match="ck_version_statuses_status"):
                self.execute(registry, f"INSERT INTO version_statuses VALUES ('demo/fox', 1, 9, '{status}', now())")

    def test_no_step_that_the_table_lacks(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        steps = {(before, after) for (before, _), after in TRANSITIONS.items()}
        with registry.engine.connect() as connection:
            for before, after in product(STORED, STORED):
                with connection.begin() as everything:
                    connection.execute(text("ALTER TABLE version_states DISABLE TRIGGER USER"))
                    connection.execute(text(f"UPDATE version_states SET status = '{before.value}'"))
                    connection.execute(text("ALTER TABLE version_states ENABLE TRIGGER USER"))
                    if (before, after) in steps:
                        connection.execute(text(f"UPDATE version_states SET status = '{after.value}'"))
                    else:
                        with pytest.raises(DBAPIError, match=r"does not go from|that is final"):
                            connection.execute(text(f"UPDATE version_states SET status = '{after.value}'"))
                    everything.rollback()

    @pytest.mark.parametrize("final", ["rejected", "superseded", "revoked"])
    def test_no_way_out_of_a_final_status(self, registry: RegistryUnderTest, final: str) -> None:
        steps = Steps(registry)
        version = steps.submitted() if final == "rejected" else steps.approved()
        ends = {"rejected": steps.reject, "revoked": steps.revoke}
        accepted(ends[final](version)) if final in ends else steps.approved(embedding=b"2")
        with pytest.raises(DBAPIError, match="that is final"):
            self.execute(registry, "UPDATE version_states SET status = 'approved' WHERE number = 1")

    def test_a_state_is_never_removed_or_given_to_another_version(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        for act in ("DELETE FROM version_states", "UPDATE version_states SET number = 2"):
            with pytest.raises(DBAPIError, match="never removed"):
                self.execute(registry, act)
