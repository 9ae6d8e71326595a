"""What the measures run on: an embedded PostgreSQL with its usual settings, and a log of any length, filled in bulk.

Bulk loading computes every hash here and copies rows in; the tables' triggers are off meanwhile, and on again before
anything is measured. What is loaded is what appending would have made: `imprimatur log fsck` has nothing to say about it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import sessionmaker

from registry.cli import postgres
from registry.db import make_engine, upgrade
from registry.log.service import append
from registry.runtime import Runtime, system_clock
from registry.sealing import AesKeyWrapper
from registry.settings import Settings
from registry.storage import open_blob_store
from registry.vault import MemoryKeyVault, VaultKeyWrapper
from sdk.policy.bundle import load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.signing.signer import Ed25519Signer
from sdk.signing.trust import TrustedKey, TrustRole, TrustRoot, sign_trust_root
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType, LogEntry, encode_log_entry
from sdk.spec.merkle import leaf_hash, node_hash

ORIGIN: Final = "bench.test/log"
ACTOR: Final = PrincipalId("demo/bench")
_AT: Final = datetime(2026, 6, 1, tzinfo=UTC)
_ROLES: Final = ("log", "root", "status", "decision")


@contextmanager
def bench_runtime(writers: int) -> Iterator[Runtime]:
    """A runtime on an empty, migrated database whose server writes to disk as PostgreSQL does by default."""
    folder = Path(tempfile.mkdtemp(prefix="imprimatur-bench-"))
    folder.chmod(0o711)
    try:
        url = postgres.start(folder / "data")
        upgrade(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, content bytea NOT NULL)")
            connection.execute("GRANT ALL ON bare, bare_id_seq TO imprimatur_app")
        engine = make_engine(url, connections=writers + 2)
        try:
            yield _runtime(url, sessionmaker(engine, expire_on_commit=False))
        finally:
            engine.dispose()
    finally:
        postgres.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


def entry_of(number: int) -> bytes:
    """The content of entry `number` of a bulk-loaded log."""
    return encode_log_entry(
        LogEntry(event=AuditEventType.CONCEPT_CREATED, at=_AT, actor=ACTOR, subject=f"demo/concept-{number}")
    )


def append_one(runtime: Runtime, number: int) -> int:
    """One act of one entry, committed."""
    with runtime.transaction() as session:
        return append(
            session, runtime, event=AuditEventType.CONCEPT_CREATED, actor=ACTOR, subject=f"demo/concept-{number}"
        )


def fill(runtime: Runtime, start: int, end: int) -> None:
    """Load entries `start` to `end`, as appending would have made them."""
    url = runtime.settings.database_url
    template = entry_of(0).replace(b"demo/concept-0", b"demo/concept-%d")
    with psycopg.connect(url) as connection:
        for table in ("log_entries", "log_nodes"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        peaks = _peaks(connection, start)
        for first in range(start, end, 100_000):
            numbers = range(first, min(first + 100_000, end))
            contents = [template % number for number in numbers]
            with connection.cursor().copy("COPY log_entries FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "bytea", "timestamptz", "varchar", "varchar", "varchar", "varchar"])
                for number, content in zip(numbers, contents, strict=True):
                    subject = f"demo/concept-{number}"
                    copy.write_row((number, content, _AT, "concept:created", "demo", str(ACTOR), subject))
            with connection.cursor().copy("COPY log_nodes FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int2", "int8", "bytea"])
                for number, content in zip(numbers, contents, strict=True):
                    for row in _completed(peaks, number, leaf_hash(content)):
                        copy.write_row(row)
        for table in ("log_entries", "log_nodes"):
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE log_entries")
        connection.execute("VACUUM ANALYZE log_nodes")
        connection.execute("CHECKPOINT")


def _completed(peaks: list[tuple[int, bytes]], index: int, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
    level, digest = 0, leaf
    yield 0, index, leaf
    while peaks and peaks[-1][0] == level:
        digest = node_hash(peaks.pop()[1], digest)
        level += 1
        yield level, index >> level, digest
    peaks.append((level, digest))


def _peaks(connection: psycopg.Connection, size: int) -> list[tuple[int, bytes]]:
    found, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            row = connection.execute(
                "SELECT hash FROM log_nodes WHERE level = %s AND node_index = %s", (level, start >> level)
            ).fetchone()
            assert row is not None
            found.append((level, bytes(row[0])))
            start += 1 << level
    return found


def _runtime(url: str, sessions: sessionmaker) -> Runtime:
    keys = {
        name: Ed25519Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))
        for name in _ROLES
    }
    trusted = {
        keys[name].keyid: TrustedKey(
            public_key=keys[name].public_key, role=TrustRole(name), holder=PrincipalId(f"demo/{name}")
        )
        for name in _ROLES
    }
    root = TrustRoot(version=1, expires_at=datetime(2099, 1, 1, tzinfo=UTC), log_origin=ORIGIN, keys=trusted)
    bundle = load_bundle(Settings().policies)
    return Runtime(
        settings=Settings(database_url=url),
        sessions=sessions,
        blobs=open_blob_store("memory:///"),
        key_wrapper=VaultKeyWrapper(AesKeyWrapper(lambda: bytes(32)), MemoryKeyVault()),
        log_signer=keys["log"],
        status_signer=keys["status"],
        decision_signer=keys["decision"],
        trust_root=root,
        trust_root_envelope=sign_trust_root(root, keys["root"]),
        policy=CedarEngine(bundle),
        policy_bundle=bundle,
        clock=system_clock,
    )
