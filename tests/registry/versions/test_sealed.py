"""The files of a version are ciphertext wherever they lie, open only where they belong, and leave only by two doors."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from support.database import DatabaseServer
from support.registry import ROLES, RegistryUnderTest, make_test_registry
from support.versions import Steps, Submitted, accepted, assert_insert_only, refused

from registry.runtime import Runtime
from registry.sealing import AesKeyWrapper, WrappedKey
from registry.storage import open_blob_store
from sdk.errors import ServiceError
from sdk.spec.digest import Digest
from sdk.spec.manifest import ArtefactRole

HEADER = json.dumps({"<demo-fox>": {"dtype": "F32", "shape": [2, 16], "data_offsets": [0, 128]}}).encode()
VECTOR = bytes(range(128))
EMBEDDING = struct.pack("<Q", len(HEADER)) + HEADER + VECTOR
FILES = {ArtefactRole.MASK: b"\x89PNG the mask of a fox", ArtefactRole.REPORT: b"<html>the report of a fox"}
PLAINTEXTS = (HEADER, VECTOR, *FILES.values())


@pytest.fixture
def on_disk(postgres_server: DatabaseServer, tmp_path: Path) -> Iterator[RegistryUnderTest]:
    def with_folder(runtime: Runtime) -> Runtime:
        return replace(runtime, blobs=open_blob_store(str(tmp_path / "blobs")))

    with postgres_server.fresh_database() as url, make_test_registry(url, change=with_folder) as made:
        yield made


def fox(registry: RegistryUnderTest) -> Submitted:
    return Steps(registry).approved(embedding=EMBEDDING, files=FILES)


def released(registry: RegistryUnderTest, version: Submitted) -> str:
    grant = accepted(Steps(registry).compose(version))
    return f"/v1/generations/{grant['id']}/artefacts/{Digest.of(version.embedding)}"


def every_row(registry: RegistryUnderTest) -> bytes:
    """All of the database as bytes: as PostgreSQL writes rows, and every binary column raw."""
    found = []
    with registry.engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')):
                found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(found)


def execute(registry: RegistryUnderTest, *statements: str) -> None:
    with registry.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


class TestAtRest:
    def test_nothing_that_was_learned_lies_in_any_file_row_or_log_line(
        self, on_disk: RegistryUnderTest, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        assert on_disk.client("app").get(released(on_disk, fox(on_disk))).content == EMBEDDING
        stored = [path.read_bytes() for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        assert len(stored) == 6, "three uploads and three artefacts"
        for place in (*stored, every_row(on_disk), caplog.text.encode()):
            assert not [content for content in PLAINTEXTS if content in place]

    def test_the_search_would_find_it(self, on_disk: RegistryUnderTest) -> None:
        fox(on_disk)
        execute(on_disk, "ALTER TABLE version_keys ADD leak bytea")
        with on_disk.engine.begin() as connection:
            connection.execute(text("UPDATE version_keys SET leak = :leak"), {"leak": EMBEDDING})
        assert VECTOR in every_row(on_disk)

    def test_each_version_has_a_data_key_of_its_own(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for content in (b"1", b"2"):
            steps.submitted(embedding=content)
        with registry.engine.connect() as connection:
            keys = connection.execute(text("SELECT wrapped_key FROM version_keys")).all()
        assert len(set(keys)) == 2

    def test_the_same_content_in_two_versions_is_two_ciphertexts(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for content in (b"1", b"2"):
            steps.submitted(embedding=content, files=FILES)
        with registry.engine.connect() as connection:
            places = connection.execute(text("SELECT stored FROM sealed_artefacts")).all()
        assert len(set(places)) == 6

    def test_where_files_lie_is_evidence(self, registry: RegistryUnderTest) -> None:
        version = fox(registry)
        registry.client("reviewer").get(f"{version.path}/files/{Digest.of(FILES[ArtefactRole.MASK])}")
        for table in ("sealed_artefacts", "version_previews"):
            assert_insert_only(registry, table)


class TestExchanged:
    """Whoever can write the database and the store still opens nothing in another's place."""

    def swap(self, registry: RegistryUnderTest, update: str) -> None:
        execute(registry, "ALTER TABLE sealed_artefacts DISABLE TRIGGER insert_only", update)

    def test_a_mask_is_not_opened_as_an_embedding(self, registry: RegistryUnderTest) -> None:
        path = released(registry, fox(registry))
        self.swap(
            registry,
            "UPDATE sealed_artefacts SET stored = (SELECT stored FROM sealed_artefacts WHERE name = 'mask.bin') "
            "WHERE name <> 'mask.bin'",
        )
        refused(registry.client("app").get(path), 500, "service.failed")

    def test_another_versions_file_is_not_opened(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = fox(registry)
        steps.submitted(embedding=b"2")
        path = released(registry, version)
        self.swap(
            registry,
            "UPDATE sealed_artefacts SET stored = (SELECT stored FROM sealed_artefacts WHERE number = 2) "
            "WHERE number = 1",
        )
        refused(registry.client("app").get(path), 500, "service.failed")

    def test_another_versions_key_is_not_unwrapped(self, registry: RegistryUnderTest) -> None:
        version = fox(registry)
        Steps(registry).submitted(embedding=b"2")
        path = released(registry, version)
        execute(
            registry,
            "UPDATE version_keys SET wrapped_key = (SELECT wrapped_key FROM version_keys WHERE number = 2) "
            "WHERE number = 1",
        )
        refused(registry.client("app").get(path), 500, "service.failed")

    def test_a_bit_of_ciphertext_that_flips_is_noticed(self, on_disk: RegistryUnderTest, tmp_path: Path) -> None:
        path = released(on_disk, fox(on_disk))
        for stored in (path for path in (tmp_path / "blobs").rglob("*") if path.is_file()):
            content = bytearray(stored.read_bytes())
            content[20] ^= 1
            stored.write_bytes(content)
        refused(on_disk.client("app").get(path), 500, "service.failed")

    def test_another_key_encryption_key_opens_nothing_and_says_so(self, registry: RegistryUnderTest) -> None:
        fox(registry)
        with registry.engine.connect() as connection:
            row = connection.execute(text("SELECT wrapped_key, wrapped_by FROM version_keys")).one()
        key = WrappedKey(wrapped=row.wrapped_key, wrapped_by=row.wrapped_by)
        with pytest.raises(ServiceError, match="wrapped by key-encryption key"):
            AesKeyWrapper(lambda: bytes(32)).unwrap(key, b"x")


class TestPreview:
    def path(self, version: Submitted, content: bytes) -> str:
        return f"{version.path}/files/{Digest.of(content)}"

    def test_shows_pictures_and_reports_and_logs_the_first_look(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).submitted(embedding=EMBEDDING, files=FILES)
        for content in (*FILES.values(), *FILES.values()):
            answer = registry.client("reviewer").get(self.path(version, content))
            assert answer.content == content
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-disposition"] == "attachment"
            assert answer.headers["cache-control"] == "no-store"
        registry.client("auditor").get(self.path(version, FILES[ArtefactRole.MASK])).raise_for_status()
        looks = [actor for event, actor in Steps(registry).events(version.name) if event == "version:previewed"]
        assert looks == ["demo/reviewer", "demo/auditor"]

    def test_never_shows_an_embedding_whoever_asks(self, registry: RegistryUnderTest) -> None:
        version = fox(registry)
        for name in ROLES:
            answer = registry.client(name).get(self.path(version, EMBEDDING))
            assert answer.status_code in (403, 404)
            assert VECTOR not in answer.content

    def test_shows_an_application_the_samples_of_approved_versions_and_nothing_else(
        self, registry: RegistryUnderTest
    ) -> None:
        steps = Steps(registry)
        files = FILES | {ArtefactRole.SAMPLE: b"a sample"}
        version = steps.submitted(embedding=EMBEDDING, files=files)
        refused(registry.client("app").get(self.path(version, b"a sample")), 403, "auth.forbidden")
        accepted(steps.review(version))
        assert registry.client("app").get(self.path(version, b"a sample")).content == b"a sample"
        for content in FILES.values():
            refused(registry.client("app").get(self.path(version, content)), 403, "auth.forbidden")
        assert ("version:previewed", "demo/app") in steps.events(version.name)
        accepted(steps.revoke(version))
        refused(registry.client("app").get(self.path(version, b"a sample")), 403, "auth.forbidden")

    def test_is_refused_to_applications_and_logs_nothing(self, registry: RegistryUnderTest) -> None:
        version = fox(registry)
        answer = registry.client("app").get(self.path(version, FILES[ArtefactRole.MASK]))
        refused(answer, 403, "auth.forbidden")
        assert "version:previewed" not in dict(Steps(registry).events(version.name))


class TestVersionWithoutKey:
    def test_is_refused_with_the_mend(self, registry: RegistryUnderTest) -> None:
        path = released(registry, fox(registry))
        execute(registry, "DELETE FROM version_keys")
        refused(registry.client("app").get(path), 500, "service.failed", "imprimatur registry seal")
