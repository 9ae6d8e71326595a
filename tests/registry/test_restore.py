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
from support.registry import BASE_URL, make_test_registry
from support.versions import FOX, Steps, accepted

from registry.app import create_app
from registry.cli.postgres import program
from registry.db import make_engine
from registry.storage import open_blob_store
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

    def test_brings_back_the_files_with_the_blob_folder(self, postgres_server: DatabaseServer, tmp_path: Path) -> None:
        blobs, copied, dump = tmp_path / "blobs", tmp_path / "backup" / "blobs", str(tmp_path / "registry.dump")
        with (
            postgres_server.fresh_database() as url,
            postgres_server.fresh_database(migrated=False) as empty,
            make_test_registry(url, change=lambda r: replace(r, blobs=open_blob_store(str(blobs)))) as lost,
        ):
            steps = Steps(lost)
            version = steps.submitted(files={ArtefactRole.MASK: b"a mask"})
            run("pg_dump", "--format=custom", f"--file={dump}", url)  # the database first
            shutil.copytree(blobs, copied)  # then the blobs: those that came later do no harm
            shutil.rmtree(blobs)
            run("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={empty}", dump)

            engine = make_engine(empty)
            restored = replace(
                lost.runtime,
                sessions=sessionmaker(engine, expire_on_commit=False),
                blobs=open_blob_store(str(copied)),
            )
            bearer = {"Authorization": f"Bearer {lost.credentials['reviewer']}"}
            with httpx.Client(
                base_url=BASE_URL, headers=bearer, transport=AsgiTransport(create_app(restored))
            ) as client:
                assert client.get("/readyz").status_code == 200
                answer = client.get(f"{version.path}/files/{Digest.of(b'a mask')}")
            assert answer.content == b"a mask"
            engine.dispose()
