"""Disk full, database away, blob store away: a clear 503, nothing half done, and the same request works once it is over."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from obstore.store import MemoryStore
from sqlalchemy import text
from support.database import DatabaseServer
from support.governed import SALT, consent_record
from support.registry import RegistryUnderTest, make_test_registry
from support.versions import FOX, Steps, accepted, refused

from registry.runtime import Runtime
from registry.storage import ObjectBlobStore
from sdk.spec.digest import Digest
from sdk.spec.manifest import ArtefactRole

MASK = b"a mask"
KEY = {"Content-Type": "application/json", "Idempotency-Key": "k" * 16}


@dataclass
class FaultyStore:
    """An object store in memory whose operations fail while they are told to."""

    faults: dict[str, OSError] = field(default_factory=dict)  # by operation
    inner: Any = field(default_factory=MemoryStore)

    def __getattr__(self, name: str) -> Any:
        if name in self.faults:
            raise self.faults[name]
        return getattr(self.inner, name)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
def faulty(postgres_server: DatabaseServer, store: FaultyStore) -> Iterator[RegistryUnderTest]:
    def with_store(runtime: Runtime) -> Runtime:
        return replace(runtime, blobs=ObjectBlobStore(store))  # type: ignore[arg-type]

    with postgres_server.fresh_database() as url, make_test_registry(url, change=with_store) as registry:
        yield registry


def rows(registry: RegistryUnderTest) -> dict[str, int]:
    """How many rows every table has, but for notes on the use of credentials."""
    names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with registry.engine.connect() as connection:
        tables = [name for (name,) in connection.execute(text(names))]
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}


@contextmanager
def disk_full_at(registry: RegistryUnderTest, table: str) -> Iterator[None]:
    """PostgreSQL answers an insert into `table` as it does when its disk is full: SQLSTATE 53100."""
    full = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'"
    with registry.engine.begin() as connection:
        connection.execute(
            text(f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {full}; END $$")
        )
        connection.execute(
            text(f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_disk()")
        )
    yield
    with registry.engine.begin() as connection:
        connection.execute(text("DROP FUNCTION full_disk CASCADE"))


class TestDatabaseDiskFull:
    @pytest.mark.parametrize("table", ["log_nodes", "log_entries", "consents", "idempotency_keys"])
    def test_leaves_nothing_and_the_same_request_is_done_later(self, registry: RegistryUnderTest, table: str) -> None:
        steps = Steps(registry)
        body = consent_record(steps.concept(), terms=steps.terms(), salt=SALT).model_dump_json(
            by_alias=True, exclude_none=True
        )
        before = rows(registry)
        with disk_full_at(registry, table):
            answer = registry.client("owner").post("/v1/consents", content=body, headers=KEY)
            problem = refused(answer, 503, "service.unavailable")
            assert "try again" in problem["detail"]
            assert "No space" not in answer.text
        assert rows(registry) == before
        accepted(registry.client("owner").post("/v1/consents", content=body, headers=KEY))
        assert rows(registry)["consents"] == before["consents"] + 1


class TestBlobStoreDiskFull:
    def test_of_an_upload_leaves_nothing(self, faulty: RegistryUnderTest, store: FaultyStore) -> None:
        before = rows(faulty)
        path = f"/v1/blobs/{Digest.of(MASK)}"
        store.faults["put"] = OSError(errno.ENOSPC, "No space left on device", "/srv/secret-place")
        answer = faulty.client("owner").put(path, content=MASK)
        refused(answer, 503, "service.unavailable")
        assert "secret-place" not in answer.text
        assert rows(faulty) == before
        store.faults.clear()
        assert faulty.client("owner").put(path, content=MASK).status_code == 201
        assert faulty.client("owner").get(path).content == MASK

    def test_of_a_submission_leaves_no_version(self, faulty: RegistryUnderTest, store: FaultyStore) -> None:
        steps = Steps(faulty)
        manifest = steps.manifest(files={ArtefactRole.MASK: MASK})
        before = rows(faulty)
        store.faults = {name: OSError(errno.ENOSPC, "full") for name in ("put", "get")}
        refused(steps.submit(manifest), 503, "service.unavailable")
        assert rows(faulty) == before
        store.faults.clear()
        accepted(steps.submit(manifest))


class TestBlobStoreAway:
    def test_is_told_on_every_read_and_by_readiness(self, faulty: RegistryUnderTest, store: FaultyStore) -> None:
        version = Steps(faulty).submitted(files={ArtefactRole.MASK: MASK})
        path = f"{version.path}/files/{Digest.of(MASK)}"
        store.faults = {name: ConnectionError("away") for name in ("get", "head", "put")}
        refused(faulty.client("reviewer").get(path), 503, "service.unavailable")
        ready = faulty.client(None).get("/readyz")
        assert (ready.status_code, "blob store" in ready.json()["detail"]) == (503, True)
        assert faulty.client(None).get("/healthz").status_code == 200
        assert faulty.client("reviewer").get(version.path).status_code == 200, "what needs no blob is served"
        store.faults.clear()
        assert faulty.client("reviewer").get(path).content == MASK
        assert faulty.client(None).get("/readyz").status_code == 200


class TestDatabaseAway:
    def test_is_503_for_reads_and_acts_until_it_is_back(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            steps = Steps(registry)
            body = consent_record(steps.concept(), terms=steps.terms(), salt=SALT).model_dump_json(by_alias=True)
            name = url.split("?")[0].rsplit("/", 1)[1]
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            answers: list[httpx.Response] = [
                registry.client("owner").get("/v1/concepts"),
                registry.client("owner").get(f"/v1/resolve?ref={FOX}"),
                registry.client("owner").post("/v1/consents", content=body, headers=KEY),
                registry.client("owner").put(f"/v1/blobs/{Digest.of(MASK)}", content=MASK),
                registry.client(None).get("/v1/log/checkpoint"),
                registry.client(None).get("/readyz"),
            ]
            for answer in answers:
                refused(answer, 503, "service.unavailable")
            assert registry.client(None).get("/healthz").status_code == 200
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            accepted(registry.client("owner").post("/v1/consents", content=body, headers=KEY))
            assert registry.client(None).get("/readyz").status_code == 200
