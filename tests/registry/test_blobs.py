"""Uploading blobs: the digest must fit, the size is bounded, they are sealed at once, tenants do not see each other's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError

import pytest
from sqlalchemy import text
from support.database import DatabaseServer
from support.registry import ROLES, RegistryUnderTest, make_test_registry
from support.versions import accepted, caller

from registry import blobs
from registry.auth import identify
from registry.blobs import open_upload, store_upload
from registry.cli.serving import keep_up
from registry.limits import BLOBS_PREFIX
from registry.sealing import seal
from registry.settings import Settings
from sdk.errors import AuthenticationRequired, Erased, NotFound, ServiceError
from sdk.spec.digest import Digest
from sdk.spec.ids import TenantName

CONTENT = b"<script>a picture</script>"
PATH = f"{BLOBS_PREFIX}{Digest.of(CONTENT)}"
SMALL = replace(Settings(), max_blob_bytes=1000, max_body_bytes=500)


@pytest.fixture
def small(postgres_server: DatabaseServer) -> Iterator[RegistryUnderTest]:
    with postgres_server.fresh_database() as url, make_test_registry(url, settings=SMALL) as made:
        yield made


class TestUpload:
    def test_is_created_once(self, registry: RegistryUnderTest) -> None:
        client = registry.client("training-service")
        assert [client.put(PATH, content=CONTENT).status_code for _ in range(2)] == [201, 200]

    def test_is_refused_when_the_digest_is_of_something_else(self, registry: RegistryUnderTest) -> None:
        response = registry.client("trainer").put(PATH, content=CONTENT + b"!")
        assert (response.status_code, response.json()["code"]) == (422, "verification.digest")
        assert not registry.runtime.blobs.has(Digest.of(CONTENT + b"!"))

    def test_is_refused_to_who_brings_nothing(self, registry: RegistryUnderTest) -> None:
        assert registry.client("app").put(PATH, content=CONTENT).status_code == 403
        assert registry.client(None).put(PATH, content=CONTENT).status_code == 401

    def test_is_refused_under_what_is_no_digest(self, registry: RegistryUnderTest) -> None:
        response = registry.client("trainer").put(f"{BLOBS_PREFIX}sha256:abc", content=CONTENT)
        assert response.status_code == 422


class TestReadingDocuments:
    def test_gives_the_bytes_and_keeps_browsers_from_guessing(self, registry: RegistryUnderTest) -> None:
        registry.client("owner").put(PATH, content=CONTENT)
        response = registry.client("reviewer").get(PATH)
        assert response.content == CONTENT
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-disposition"] == "attachment"
        assert response.headers["content-type"] == "application/octet-stream"

    def test_is_refused_to_applications(self, registry: RegistryUnderTest) -> None:
        registry.client("owner").put(PATH, content=CONTENT)
        assert registry.client("app").get(PATH).status_code == 403

    def test_of_another_tenants_finds_nothing_until_it_is_brought(self, registry: RegistryUnderTest) -> None:
        registry.client("owner").put(PATH, content=CONTENT)
        other = registry.client("other-owner")
        assert other.get(PATH).status_code == 404
        assert other.put(PATH, content=CONTENT).status_code == 201
        assert other.get(PATH).content == CONTENT

    def test_finds_no_artefact_until_somebody_else_has_the_bytes_too(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        for name in ROLES:
            answer = registry.client(name).get(PATH)
            assert answer.status_code in (403, 404)
            assert CONTENT not in answer.content
        assert registry.client("owner").put(PATH, content=CONTENT).status_code == 200
        registry.client("training-service").put(PATH, content=CONTENT)
        assert registry.client("reviewer").get(PATH).content == CONTENT

    def test_is_possible_for_ever(self, registry: RegistryUnderTest) -> None:
        registry.client("owner").put(PATH, content=CONTENT)
        registry.clock.advance(days=300)
        registry.client("training-service").put(f"{BLOBS_PREFIX}{Digest.of(b'new')}", content=b"new")
        assert registry.client("auditor").get(PATH).content == CONTENT


class TestUploadAtRest:
    def test_is_ciphertext_from_the_first_moment(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        assert not registry.runtime.blobs.has(Digest.of(CONTENT))
        assert CONTENT not in registry.runtime.blobs.get(stored_of(registry))
        assert opened(registry, "demo") == CONTENT

    def test_of_another_tenant_is_not_there_until_it_is_brought(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        with pytest.raises(NotFound, match="upload it"):
            opened(registry, "other")
        assert registry.client("other-owner").put(PATH, content=CONTENT).status_code == 201
        assert opened(registry, "other") == CONTENT

    def test_does_not_open_for_another_tenant_whose_row_points_to_it(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        with registry.engine.begin() as connection:
            connection.execute(text("UPDATE blob_uploads SET tenant = 'other'"))
        with pytest.raises(ServiceError, match="does not open"):
            opened(registry, "other")

    def test_is_forgotten_with_its_key_when_no_version_takes_it(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        stored = stored_of(registry)
        registry.clock.advance(days=8)
        registry.client("training-service").put(f"{BLOBS_PREFIX}{Digest.of(b'new')}", content=b"new")
        assert not registry.runtime.blobs.has(stored)
        with pytest.raises(NotFound):
            opened(registry, "demo")

    def test_is_forgotten_by_the_clock_though_nobody_brings_another(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        stored = stored_of(registry)
        registry.clock.advance(days=6)
        keep_up(registry.runtime)
        assert opened(registry, "demo") == CONTENT
        registry.clock.advance(days=2)
        keep_up(registry.runtime)
        assert (registry.runtime.blobs.has(stored), registry.memory.vault.keys) == (False, {})

    def test_of_a_credential_that_ended_meanwhile_is_not_kept(self, registry: RegistryUnderTest) -> None:
        caller = identify(registry.runtime, f"Bearer {registry.credentials['trainer']}")
        accepted(registry.client("admin").post(f"/v1/credentials/{caller.credential}/revocation"))
        with pytest.raises(AuthenticationRequired):
            store_upload(registry.runtime, caller, Digest.of(CONTENT), CONTENT)

    def test_opens_from_no_backup_once_it_is_forgotten(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        stored, vault = stored_of(registry), registry.memory.vault
        ciphertext, (key,) = registry.runtime.blobs.get(stored), vault.keys
        with registry.engine.begin() as connection:
            connection.execute(text("CREATE TABLE backup AS SELECT * FROM blob_uploads"))
        registry.clock.advance(days=8)
        registry.client("training-service").put(f"{BLOBS_PREFIX}{Digest.of(b'new')}", content=b"new")
        assert len(vault.keys) == 1, "that of the new one"
        assert key not in vault.keys
        with registry.engine.begin() as connection:
            connection.execute(text("INSERT INTO blob_uploads SELECT * FROM backup"))
        assert registry.runtime.blobs.put(ciphertext) == stored
        with pytest.raises(Erased):
            opened(registry, "demo")

    def test_is_sealed_anew_when_a_crash_came_between_its_key_and_its_row(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        registry.memory.vault.keys.clear()
        assert registry.client("training-service").put(PATH, content=CONTENT).status_code == 201
        assert opened(registry, "demo") == CONTENT

    def test_keeps_its_key_when_what_forgets_it_fails(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        registry.clock.advance(days=8)
        with monkeypatch.context() as patch:
            patch.setattr(blobs, "seal", lambda *_: 1 / 0)
            path = f"{BLOBS_PREFIX}{Digest.of(b'new')}"
            assert registry.client("training-service").put(path, content=b"new").status_code == 500
        assert opened(registry, "demo") == CONTENT

    def test_has_one_key_when_it_is_brought_twice_at_once(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        with registry.engine.begin() as connection:  # forgotten, so that nobody waits for the first row of all
            connection.execute(text("DELETE FROM blob_uploads"))
        registry.memory.vault.keys.clear()
        both = Barrier(2)

        def seal_beside(content: bytes, key: bytes, about: bytes) -> bytes:
            with suppress(BrokenBarrierError):  # the other waits for this one's commit, as it should
                both.wait(timeout=0.5)
            return seal(content, key, about)

        monkeypatch.setattr(blobs, "seal", seal_beside)
        demo, digest = caller(registry, "training-service"), Digest.of(CONTENT)
        with ThreadPoolExecutor(max_workers=2) as threads:
            made = threads.map(lambda _: store_upload(registry.runtime, demo, digest, CONTENT), range(2))
            assert sorted(made) == [False, True]
        assert len(registry.memory.vault.keys) == 1
        assert opened(registry, "demo") == CONTENT

    def test_stays_when_it_is_brought_again_in_time(self, registry: RegistryUnderTest) -> None:
        for _ in range(3):
            registry.client("training-service").put(PATH, content=CONTENT)
            registry.clock.advance(days=6)
        assert opened(registry, "demo") == CONTENT

    def test_is_mended_by_a_new_upload_when_its_ciphertext_is_lost(self, registry: RegistryUnderTest) -> None:
        registry.client("training-service").put(PATH, content=CONTENT)
        registry.runtime.blobs.remove(stored_of(registry))
        (old,) = registry.memory.vault.keys
        assert registry.client("training-service").put(PATH, content=CONTENT).status_code == 201
        assert opened(registry, "demo") == CONTENT
        assert len(registry.memory.vault.keys) == 1
        assert old not in registry.memory.vault.keys


def stored_of(registry: RegistryUnderTest) -> Digest:
    with registry.engine.connect() as connection:
        return Digest(connection.scalar(text("SELECT stored FROM blob_uploads")))


def opened(registry: RegistryUnderTest, tenant: str) -> bytes:
    with registry.runtime.transaction(TenantName(tenant)) as session:
        return open_upload(session, registry.runtime, TenantName(tenant), Digest.of(CONTENT))


class TestLimits:
    def test_a_blob_of_the_limit_is_taken(self, small: RegistryUnderTest) -> None:
        content = b"x" * 1000
        response = small.client("trainer").put(f"{BLOBS_PREFIX}{Digest.of(content)}", content=content)
        assert response.status_code == 201

    @pytest.mark.parametrize("streamed", [False, True], ids=["declared", "undeclared"])
    def test_a_larger_one_is_refused(self, small: RegistryUnderTest, streamed: bool) -> None:
        content = b"x" * 1001
        body = iter([content[:600], content[600:]]) if streamed else content
        response = small.client("trainer").put(f"{BLOBS_PREFIX}{Digest.of(content)}", content=body)
        assert (response.status_code, response.json()["code"]) == (413, "input.too_large")
        assert not small.runtime.blobs.has(Digest.of(content))

    def test_where_files_are_sent_nothing_else_may_be_as_large(self, small: RegistryUnderTest) -> None:
        assert small.client("trainer").post("/v1/blobs/x", content=b"x" * 501).status_code == 413

    @pytest.mark.parametrize("streamed", [False, True], ids=["declared", "undeclared"])
    @pytest.mark.parametrize("path", ["/v1/concepts", "/v1/consents"])
    def test_so_is_any_other_body(self, small: RegistryUnderTest, path: str, streamed: bool) -> None:
        content = b'{"x": "' + b"x" * 500 + b'"}'
        body = iter([content[:400], content[400:]]) if streamed else content
        headers = {"Content-Type": "application/json"}
        response = small.client("trainer").post(path, content=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (413, "input.too_large")
