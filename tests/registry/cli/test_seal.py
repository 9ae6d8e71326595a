"""A workspace from before artefacts were sealed: it says so, and `imprimatur registry seal` brings it up to date."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from support.asgi import AsgiTransport
from support.database import DatabaseServer
from support.governed import FOX, consent_record, learned_embedding
from support.registry import KEY_ENCRYPTION_KEY, RegistryUnderTest, make_test_registry
from support.versions import SALT, Steps, Submitted, accepted, assert_insert_only, refused

from registry.app import create_app
from registry.blobs import seal_upload
from registry.cli.init import Plan, create_workspace
from registry.cli.seal import seal_what_lies_open, seal_workspace
from registry.cli.serving import open_runtime, workspace_settings
from registry.cli.supervisor import database_alone
from registry.cli.workspace import Address, Workspace
from registry.runtime import Runtime
from registry.sealing import AesKeyWrapper, WrappedKey
from registry.vault import MemoryKeyVault, VaultKeyWrapper
from sdk.errors import ConfigurationError, NotFound
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureRequest
from sdk.spec.ids import TenantName

LEARNED = learned_embedding(b"learned", FOX)
AGREEMENT = b"the agreement with the fox"


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        addresses = [Address(host="127.0.0.1", port=port) for port in (18720, 18721)]
        plan = Plan(tenant=TenantName("studio"), registry=addresses[0], trainer=addresses[1])
        yield create_workspace(Path(name) / "ws", plan)


@pytest.fixture
def old(registry: RegistryUnderTest) -> Submitted:
    """An approved version, and a document, as they lay before there was any sealing."""
    steps = Steps(registry)
    version = steps.approved(embedding=b"learned")
    registry.client("owner").put(f"/v1/blobs/{Digest.of(AGREEMENT)}", content=AGREEMENT).raise_for_status()
    with registry.engine.begin() as connection:
        connection.execute(text("ALTER TABLE sealed_artefacts DISABLE TRIGGER insert_only"))
        for table in ("version_keys", "sealed_artefacts", "blob_uploads"):
            connection.execute(text(f"DELETE FROM {table}"))
    for content in (LEARNED, AGREEMENT):
        registry.runtime.blobs.put(content)
    return version


class TestWhatLiesOpen:
    def test_is_sealed_and_used_as_before(self, registry: RegistryUnderTest, old: Submitted) -> None:
        assert seal_what_lies_open(registry.runtime) == 1
        grant = accepted(Steps(registry).compose(old))
        path = f"/v1/generations/{grant['id']}/artefacts/{Digest.of(LEARNED)}"
        assert registry.client("app").get(path).content == LEARNED
        assert registry.client("reviewer").get(f"/v1/blobs/{Digest.of(AGREEMENT)}").content == AGREEMENT
        for content in (LEARNED, AGREEMENT):
            assert not registry.runtime.blobs.has(Digest.of(content))

    def test_is_sealed_once(self, registry: RegistryUnderTest, old: Submitted) -> None:
        assert [seal_what_lies_open(registry.runtime) for _ in range(2)] == [1, 0]
        assert registry.client("reviewer").get(f"/v1/blobs/{Digest.of(AGREEMENT)}").content == AGREEMENT

    def test_stays_as_it_is_when_a_file_is_missing(self, registry: RegistryUnderTest, old: Submitted) -> None:
        registry.runtime.blobs.remove(Digest.of(LEARNED))
        with pytest.raises(NotFound, match="restore it from a backup"):
            seal_what_lies_open(registry.runtime)
        assert registry.runtime.blobs.get(Digest.of(AGREEMENT)) == AGREEMENT


class TestWorkspace:
    def test_without_a_key_names_the_mend_which_mends_it(self, workspace: Workspace) -> None:
        workspace.key_encryption_key.unlink()
        with database_alone(workspace):
            with pytest.raises(ConfigurationError, match="imprimatur registry seal"):
                with open_runtime(workspace_settings(workspace)):
                    pass
        assert seal_workspace(workspace) == 0
        assert workspace.key_encryption_key.stat().st_mode & 0o777 == 0o600

    def test_whose_key_is_lost_gets_no_other(self, workspace: Workspace) -> None:
        with database_alone(workspace), open_runtime(workspace_settings(workspace)) as runtime:
            with runtime.sessions.begin() as session:
                seal_upload(session, runtime, TenantName("studio"), Digest.of(AGREEMENT), AGREEMENT, document=True)
        workspace.key_encryption_key.unlink()
        with pytest.raises(ConfigurationError, match="is lost"):
            seal_workspace(workspace)
        assert not workspace.key_encryption_key.exists()


class BeforeTheVault(VaultKeyWrapper):
    """Wraps as builds did before there was a vault."""

    def wrap(self, data_key: bytes, about: bytes) -> WrappedKey:
        return self._inner.wrap(data_key, about)


class TestBeforeTheVault:
    def test_keys_get_their_half_and_records_their_seal_and_both_can_be_erased(
        self, postgres_server: DatabaseServer
    ) -> None:
        inner = AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY)

        def older(runtime: Runtime) -> Runtime:
            return replace(runtime, key_wrapper=BeforeTheVault(inner, MemoryKeyVault()))

        with postgres_server.fresh_database() as url, make_test_registry(url, change=older) as made:
            version = Steps(made).approved(embedding=b"learned")
            with made.engine.begin() as connection:
                connection.execute(text("ALTER TABLE consents DISABLE TRIGGER insert_only"))
                record = encode_canonical(consent_record(version.concept, terms=Steps(made).terms(), salt=SALT))
                connection.execute(text("UPDATE consents SET content = :record"), {"record": record})
                connection.execute(text("ALTER TABLE consents ENABLE TRIGGER insert_only"))
            erasure = ErasureRequest(subject="subject-0001")
            refused(Steps(made).post("owner", "/v1/erasures", erasure), 409, "resource.conflict", "registry seal")
            runtime = replace(made.runtime, key_wrapper=VaultKeyWrapper(inner, MemoryKeyVault()))
            assert seal_what_lies_open(runtime) == 0
            with made.engine.connect() as connection:
                assert b"subject-0001" not in connection.execute(text("SELECT content FROM consents")).scalar_one()
            assert_insert_only(made, "consents")
            now = replace(made, runtime=runtime, transport=AsgiTransport(create_app(runtime)), _clients={})
            grant = accepted(Steps(now).compose(version))["id"]
            path = f"/v1/generations/{grant}/artefacts/{Digest.of(LEARNED)}"
            assert now.client("app").get(path).content == LEARNED
            accepted(Steps(now).post("owner", "/v1/erasures", erasure))
            refused(now.client("owner").get(f"/v1/consents/{version.consent}"), 410, "resource.erased")
