"""A backup drilled: pg_dump of a living registry, pg_restore into an empty database, and everything is proven again.

The commands are those of docs/operators.md, with the programs that come with the embedded PostgreSQL.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import sessionmaker
from support.asgi import AsgiTransport
from support.database import DatabaseServer
from support.registry import BASE_URL, KEY_ENCRYPTION_KEY, make_test_registry
from support.versions import FOX, Steps, accepted, refused

from registry.app import create_app
from registry.cli.postgres import program
from registry.db import make_engine
from registry.fsck.check import check
from registry.runtime import Runtime
from registry.sealing import AesKeyWrapper
from registry.storage import open_blob_store
from registry.vault import FolderKeyVault, VaultKeyWrapper
from sdk.audit import verify_log
from sdk.client import Client
from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.digest import Digest
from sdk.spec.ids import AliasName, TenantName, parse_version_ref
from sdk.spec.manifest import ArtefactRole
from sdk.verify import verify_version


def run(name: str, *arguments: str) -> None:
    done = subprocess.run([str(program(name)), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class TestRestore:
    def test_brings_back_every_proof_and_every_lock(self, postgres_server: DatabaseServer, tmp_path: Path) -> None:
        backup = str(tmp_path / "registry.dump")
        with (
            postgres_server.fresh_database() as url,
            postgres_server.fresh_database(migrated=False) as empty,
            make_test_registry(url) as lost,
        ):
            steps = Steps(lost)
            steps.approved()
            changes = (AliasChange(concept=FOX, alias=AliasName("stable"), number=1),)
            accepted(steps.post("owner", "/v1/aliases", AliasChanges(changes=changes)))
            trust = lost.runtime.trust_root
            with Client(BASE_URL, lost.credentials["auditor"], transport=lost.transport) as client:
                seen = client.log_checkpoint()
                before = client.resolve("demo/fox@stable")
            run("pg_dump", "--format=custom", f"--file={backup}", url)
            run("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={empty}", backup)

            engine = make_engine(empty)
            restored = replace(lost.runtime, sessions=sessionmaker(engine, expire_on_commit=False))
            transport = AsgiTransport(create_app(restored))
            with Client(BASE_URL, lost.credentials["auditor"], transport=transport) as client:
                assert client.ready().status == "ready"
                log = verify_log(client, trust, remembered=[seen])
                after = client.resolve("demo/fox@stable")
                listed = client.status_list(TenantName("demo"), 0)
            assert log.checkpoint.tree_size == len(log.entries)
            assert after.manifest == before.manifest
            ref = parse_version_ref("demo/fox@stable")
            now = lost.clock.now
            assert verify_version(after, ref=ref, trust=trust, now=now, status_list=listed).approvers
            with restored.transaction(TenantName("other")) as session:
                assert session.scalar(text("SELECT count(*) FROM concepts")) == 0
            with pytest.raises(DBAPIError, match="evidence"), engine.begin() as connection:
                connection.execute(text("DELETE FROM reviews"))
            engine.dispose()

    def test_brings_back_what_is_sealed_with_the_blob_folder_and_the_key_vault(
        self, postgres_server: DatabaseServer, tmp_path: Path
    ) -> None:
        backup, dump = tmp_path / "backup", str(tmp_path / "registry.dump")
        for folder in ("blobs", "vault"):
            (tmp_path / folder).mkdir()
        with (
            postgres_server.fresh_database() as url,
            postgres_server.fresh_database(migrated=False) as empty,
            make_test_registry(url, change=lambda runtime: on_disk(runtime, tmp_path)) as lost,
        ):
            steps = Steps(lost)
            version = steps.submitted(files={ArtefactRole.MASK: b"a mask"})
            run("pg_dump", "--format=custom", f"--file={dump}", url)  # the database first
            for folder in ("blobs", "vault"):  # then these: what came later does no harm
                shutil.copytree(tmp_path / folder, backup / folder)
                shutil.rmtree(tmp_path / folder)
            run("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={empty}", dump)

            engine = make_engine(empty)
            sessions = sessionmaker(engine, expire_on_commit=False)
            restored = replace(on_disk(lost.runtime, backup), sessions=sessions)
            reader = reader_of(restored, lost.credentials["reviewer"])
            assert reader.get("/readyz").status_code == 200
            assert reader.get(f"{version.path}/files/{Digest.of(b'a mask')}").content == b"a mask"
            assert reader.get(f"/v1/consents/{version.consent}").json()["status"] == "given"
            with sessions() as session:
                assert check(session, restored).findings == ()

            (backup / "empty").mkdir()
            without = VaultKeyWrapper(AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY), FolderKeyVault(backup / "empty"))
            closed = reader_of(replace(restored, key_wrapper=without), lost.credentials["reviewer"])
            for path in (f"{version.path}/files/{Digest.of(b'a mask')}", f"/v1/consents/{version.consent}"):
                refused(closed.get(path), 410, "resource.erased")  # the dump and the blobs alone open nothing
            engine.dispose()


def on_disk(runtime: Runtime, folder: Path) -> Runtime:
    """The same runtime with blobs and key vault in `folder`."""
    wrapper = VaultKeyWrapper(AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY), FolderKeyVault(folder / "vault"))
    return replace(runtime, blobs=open_blob_store(str(folder / "blobs")), key_wrapper=wrapper)


def reader_of(runtime: Runtime, credential: str) -> httpx.Client:
    return httpx.Client(
        base_url=BASE_URL,
        headers={"Authorization": f"Bearer {credential}"},
        transport=AsgiTransport(create_app(runtime)),
    )
