"""A person is erased: nothing opens again, from no backup; the log stays verifiable, and a signed certificate says what went."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import sessionmaker
from support.asgi import AsgiTransport
from support.database import DatabaseServer
from support.governed import learned_embedding
from support.registry import BASE_URL, KEY_ENCRYPTION_KEY, RegistryUnderTest, make_test_registry
from support.renewal import renewed
from support.versions import FOX, Steps, Submitted, accepted, refused, rules_of

from registry.app import create_app
from registry.cli.postgres import program
from registry.db import make_engine
from registry.erasure import service
from registry.runtime import Runtime
from registry.sealing import AesKeyWrapper
from registry.storage import open_blob_store
from registry.vault import FolderKeyVault, VaultKeyWrapper
from sdk.audit import verify_log
from sdk.client import Client
from sdk.errors import Erased, SignatureInvalid
from sdk.findings import find_faults
from sdk.receipt import verify_erasure
from sdk.signing.receipts import verify_receipt
from sdk.signing.signer import sign_envelope
from sdk.spec.bundle import VersionBundle
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureAccepted, ErasureList, ErasureRequest, ErasureView, TrainingErased
from sdk.spec.ids import ConceptId, RecordId, TenantName, parse_version_ref
from sdk.spec.manifest import ArtefactRole
from sdk.spec.terms import Evidence
from sdk.verify import verify_submission

AIKO, OWL = "subject-aiko", ConceptId("demo/owl")
DOCUMENT = b"%PDF the agreement that Aiko signed"
CONTRACT = b"%PDF a contract that others rest on too"
FACE = learned_embedding(b"what was learned of Aiko's face", FOX)
PICTURE = {ArtefactRole.TRAINING_PICTURE: b"\x89PNG Aiko"}
SECRETS = (b"Aiko's own hand", DOCUMENT, FACE, *PICTURE.values())


@pytest.fixture
def registry(postgres_server: DatabaseServer, tmp_path: Path) -> Iterator[RegistryUnderTest]:
    def on_disk(runtime: Runtime) -> Runtime:
        wrapper = VaultKeyWrapper(AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY), FolderKeyVault(tmp_path / "vault"))
        return replace(runtime, blobs=open_blob_store(str(tmp_path / "blobs")), key_wrapper=wrapper)

    (tmp_path / "vault").mkdir()
    with postgres_server.fresh_database() as url, make_test_registry(url, change=on_disk) as made:
        yield made


def consent_of_aiko(steps: Steps, concept: ConceptId = FOX, document: bytes = DOCUMENT) -> str:
    digest = Digest.of(document)
    steps.registry.client("owner").put(f"/v1/blobs/{digest}", content=document).raise_for_status()
    evidence = Evidence(document=digest, page=1, clause="3")
    given = steps.consent(concept, subject=AIKO, expressed_by="Aiko's own hand", evidence=evidence, salt="00" * 16)
    return str(given["id"])


def version_of_aiko(steps: Steps, concept: ConceptId = FOX) -> Submitted:
    steps.concept(concept)
    return steps.approved(concept, consents=(consent_of_aiko(steps, concept),), embedding=FACE, files=PICTURE)


def erase(registry: RegistryUnderTest, subject: str = AIKO) -> ErasureAccepted:
    answer = Steps(registry).post("owner", "/v1/erasures", ErasureRequest(subject=subject))
    return ErasureAccepted.model_validate(accepted(answer))


def vault_files(folder: Path) -> int:
    return sum(path.is_file() for path in (folder / "vault").rglob("*"))


class TestErase:
    def test_closes_everything_about_a_person_and_nothing_else(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version, other = version_of_aiko(steps), steps.approved(OWL, embedding=b"owl", files=PICTURE)
        waiting = steps.submitted(consents=version.manifest.consents, embedding=b"waits")
        grant = accepted(steps.compose(version))["id"]
        done = erase(registry)
        reviewer, owner = registry.client("reviewer"), registry.client("owner")
        refused(owner.get(f"/v1/consents/{version.consent}"), 410, "resource.erased", "was erased")
        refused(owner.get(f"/v1/blobs/{Digest.of(DOCUMENT)}"), 410, "resource.erased", "erased")
        picture = Digest.of(PICTURE[ArtefactRole.TRAINING_PICTURE])
        refused(reviewer.get(f"{version.path}/files/{picture}"), 410, "resource.erased", "erased")
        refused(
            registry.client("app").get(f"/v1/generations/{grant}/artefacts/{Digest.of(FACE)}"),
            422,
            "verification.not_approved",
        )
        assert steps.events(version.name)[-2:] == [
            ("version:suspended", "demo/owner"),
            ("version:revoked", "demo/owner"),
        ]
        bundle = VersionBundle.model_validate(steps.get("reviewer", version.path))
        assert bundle.erased == (version.consent,)
        assert steps.events(waiting.name)[-1] == ("version:rejected", "demo/owner")
        assert steps.events(done.id) == [("subject:erased", "demo/owner")]
        assert reviewer.get(f"{other.path}/files/{picture}").content == PICTURE[ArtefactRole.TRAINING_PICTURE]
        accepted(steps.compose(other, key="o" * 16))

    def test_of_who_was_in_a_renewed_version_reads_as_that(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = version_of_aiko(steps)
        renewed(steps, version, subject=AIKO)
        erase(registry)
        bundle = VersionBundle.model_validate(steps.get("reviewer", version.path))
        ref, trust = parse_version_ref(version.name), registry.runtime.trust_root
        with pytest.raises(Erased, match="was erased with the person it was of"):
            verify_submission(bundle, ref=ref, trust=trust, now=registry.clock.now)

    def test_leaves_lists_and_the_log_readable(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = version_of_aiko(steps)
        accepted(steps.compose(version))
        erase(registry)
        accepted(registry.client("owner").get("/v1/consents"))
        assert (
            accepted(registry.client("owner").get(f"/v1/concepts/{FOX}/versions"))["versions"][0]["status"] == "revoked"
        )
        accepted(registry.client("owner").get(version.path))
        with Client(BASE_URL, registry.credentials["auditor"], transport=registry.transport) as client:
            log = verify_log(client, registry.runtime.trust_root)
            listed = client.list_generations().generations
            assert find_faults(log, listed, tenant=TenantName("demo")) == ()

    def test_gives_a_signed_and_logged_certificate_that_names_no_person(self, registry: RegistryUnderTest) -> None:
        steps, trust = Steps(registry), registry.runtime.trust_root
        version = version_of_aiko(steps)
        done = erase(registry)
        said = verify_erasure(done.certificate, trust)
        assert (said.erasure, said.erased_by) == (done.id, "demo/owner")
        assert (said.consents, said.versions) == ((version.consent,), (version.name,))
        uploads = {Digest.of(each) for each in (DOCUMENT, FACE, *PICTURE.values())}
        assert set(said.documents) == uploads
        assert said.keys == 2 + len(uploads)
        assert all(kept.what and kept.why for kept in said.kept)
        entry = verify_receipt(done.receipt, trust)
        assert entry.evidence == {"certificate": done.certificate.digest}
        assert AIKO.encode() not in done.certificate.payload + done.receipt.entry
        forged = sign_envelope(done.certificate.payload, registry.keys["owner"])
        with pytest.raises(SignatureInvalid):
            verify_erasure(forged, trust)
        listed = accepted(registry.client("auditor").get("/v1/erasures"))["erasures"]
        assert [each["id"] for each in listed] == [done.id]

    def test_keeps_a_document_that_others_rest_on_and_says_so(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.concept(FOX)
        consent_of_aiko(steps, document=CONTRACT)
        evidence = Evidence(document=Digest.of(CONTRACT), page=2, clause="1")
        steps.consent(FOX, subject="subject-ben", evidence=evidence)
        said = verify_erasure(erase(registry).certificate, registry.runtime.trust_root)
        assert said.documents == ()
        assert [kept.why for kept in said.kept if str(Digest.of(CONTRACT)) in kept.what] == [
            "a licence, or somebody else's consent or binding, names it"
        ]
        assert registry.client("owner").get(f"/v1/blobs/{Digest.of(CONTRACT)}").content == CONTRACT

    def test_is_for_whom_policy_says_and_once(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version_of_aiko(steps)
        for name in ("reviewer", "auditor", "app"):
            answer = steps.post(name, "/v1/erasures", ErasureRequest(subject=AIKO))
            assert rules_of(refused(answer, 403, "policy.denied")) == ["audit_access.erase-role"]
        erase(registry)
        refused(steps.post("owner", "/v1/erasures", ErasureRequest(subject=AIKO)), 404, "resource.not_found")


class TestRestoredBackup:
    def test_does_not_bring_the_person_back(
        self, registry: RegistryUnderTest, postgres_server: DatabaseServer, tmp_path: Path
    ) -> None:
        steps = Steps(registry)
        version, other = (
            version_of_aiko(steps),
            steps.approved(OWL, embedding=b"owl", files={ArtefactRole.MASK: b"mask"}),
        )
        url = registry.runtime.settings.database_url
        dump = tmp_path / "registry.sql"
        subprocess.run([program("pg_dump"), "--format=plain", f"--file={dump}", url], check=True, capture_output=True)
        shutil.copytree(tmp_path / "blobs", tmp_path / "backup")
        backup = [dump, *(path for path in (tmp_path / "backup").rglob("*") if path.is_file())]
        for path in backup:
            content = path.read_bytes()
            assert [secret for secret in SECRETS if secret in content or secret.hex().encode() in content] == []
        erase(registry)

        with postgres_server.fresh_database(migrated=False) as empty:
            restore = [program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}", empty]
            subprocess.run(restore, check=True, capture_output=True)
            engine = make_engine(empty)
            restored = replace(
                registry.runtime,
                sessions=sessionmaker(engine, expire_on_commit=False),
                blobs=open_blob_store(str(tmp_path / "backup")),
            )
            transport = AsgiTransport(create_app(restored))
            with Client(BASE_URL, registry.credentials["reviewer"], transport=transport) as client:
                assert client.get_version(FOX, 1).status == "approved", "the dump is from before"
            again = replace(registry, runtime=restored, engine=engine, transport=transport, _clients={})
            picture = Digest.of(PICTURE[ArtefactRole.TRAINING_PICTURE])
            refused(again.client("owner").get(f"/v1/consents/{version.consent}"), 410, "resource.erased")
            refused(again.client("owner").get(f"/v1/blobs/{Digest.of(DOCUMENT)}"), 410, "resource.erased")
            refused(again.client("reviewer").get(f"{version.path}/files/{picture}"), 410, "resource.erased")
            assert again.client("reviewer").get(f"{other.path}/files/{Digest.of(b'mask')}").content == b"mask"
            engine.dispose()


class TestCrash:
    def test_between_the_commit_and_the_keys_is_finished_at_the_next_start(
        self, registry: RegistryUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version_of_aiko(Steps(registry))
        shutil.copytree(tmp_path / "vault", tmp_path / "old")
        with monkeypatch.context() as patch:
            patch.setattr(service, "destroy", lambda *_: None)
            done = erase(registry)
        keys = verify_erasure(done.certificate, registry.runtime.trust_root).keys
        before = vault_files(tmp_path)
        with registry.runtime.sessions.begin() as session:
            assert service.finish(session, registry.runtime) == keys
        assert vault_files(tmp_path) == before - keys
        shutil.copytree(tmp_path / "old", tmp_path / "vault", dirs_exist_ok=True)  # a vault that came from an archive
        with registry.runtime.sessions.begin() as session:
            assert service.finish(session, registry.runtime) == keys

    def test_before_the_commit_destroys_nothing(
        self, registry: RegistryUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = Steps(registry)
        version, before = version_of_aiko(steps), vault_files(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr("registry.erasure.certificate.sign_envelope", lambda *_: 1 / 0)
            assert steps.post("owner", "/v1/erasures", ErasureRequest(subject=AIKO)).status_code == 500
        assert vault_files(tmp_path) == before
        accepted(registry.client("owner").get(f"/v1/consents/{version.consent}"))
        accepted(steps.compose(version))


class TestTraining:
    JOBS = tuple(RecordId("job_" + letter * 26) for letter in "ab")

    def confirm(
        self, registry: RegistryUnderTest, erasure: str, *jobs: RecordId, name: str = "training-service"
    ) -> Any:
        return Steps(registry).post(name, f"/v1/erasures/{erasure}/training", TrainingErased(jobs=jobs))

    def test_that_was_erased_is_logged_once_and_told_beside_the_certificate(self, registry: RegistryUnderTest) -> None:
        version_of_aiko(Steps(registry))
        done = erase(registry)
        accepted(self.confirm(registry, done.id, self.JOBS[0]))
        told = ErasureView.model_validate(accepted(self.confirm(registry, done.id, *self.JOBS)))
        assert [said.jobs for said in told.training] == [(self.JOBS[0],), (self.JOBS[1],)]
        assert accepted(self.confirm(registry, done.id, *self.JOBS)) == told.model_dump(mode="json", by_alias=True)
        assert Steps(registry).events(done.id)[1:] == [("training:erased", "demo/training-service")] * 2
        listed = ErasureList.model_validate(Steps(registry).get("training-service", "/v1/erasures"))
        assert listed.erasures == (told,)

    @pytest.mark.parametrize("name", ["owner", "trainer", "app", "reviewer"])
    def test_is_told_by_training_services(self, registry: RegistryUnderTest, name: str) -> None:
        refused(self.confirm(registry, "era_" + "a" * 26, *self.JOBS, name=name), 403, "auth.forbidden")

    def test_of_an_erasure_that_is_none_is_not_found(self, registry: RegistryUnderTest) -> None:
        refused(self.confirm(registry, "era_" + "a" * 26, *self.JOBS), 404, "resource.not_found")


class TestVault:
    def test_missing_folder_is_no_erasure(self, registry: RegistryUnderTest, tmp_path: Path) -> None:
        version = version_of_aiko(Steps(registry))
        (tmp_path / "vault").rename(tmp_path / "elsewhere")
        assert registry.client("owner").get(f"/v1/consents/{version.consent}").status_code == 500
        (tmp_path / "elsewhere").rename(tmp_path / "vault")
        accepted(registry.client("owner").get(f"/v1/consents/{version.consent}"))

    def test_is_needed_and_so_are_database_and_key(self, tmp_path: Path) -> None:
        wrapper = VaultKeyWrapper(AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY), FolderKeyVault(tmp_path))
        key = wrapper.wrap(b"k" * 32, b"about")
        assert wrapper.unwrap(key, b"about") == b"k" * 32
        (held,) = (path for path in tmp_path.rglob("*") if path.is_file())
        assert b"k" * 32 not in held.read_bytes() + key.wrapped
        wrapper.destroy(held.name)
        with pytest.raises(Erased):
            wrapper.unwrap(key, b"about")

    def test_key_from_before_there_was_a_vault_opens_still(self, tmp_path: Path) -> None:
        old = AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY)
        wrapper = VaultKeyWrapper(old, FolderKeyVault(tmp_path))
        assert wrapper.unwrap(old.wrap(b"k" * 32, b"about"), b"about") == b"k" * 32


def test_records_lie_in_the_database_as_ciphertext(registry: RegistryUnderTest) -> None:
    consent_of_aiko(Steps(registry), Steps(registry).concept(FOX))
    with registry.engine.connect() as connection:
        (content,) = connection.execute(text("SELECT content FROM consents")).one()
    assert b"Aiko" not in content
    assert b"own hand" not in content
