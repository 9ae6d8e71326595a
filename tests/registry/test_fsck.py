"""fsck: a registry that is whole has no finding; a flipped bit in any row, blob or vault file is one, or shown not to matter.

`make bit-flips` flips 10,000 (`BIT_FLIPS`); `BIT_FLIPS_SEED` repeats a run. Each flip is made in the real database, in a
transaction that is rolled back, with every constraint and trigger dropped: as a disk would do it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session
from support.database import DatabaseServer
from support.everything import fill, witnessed
from support.registry import KEY_ENCRYPTION_KEY, RegistryUnderTest, make_test_registry

from registry.fsck.check import FsckReport, check, parts
from registry.personal import is_sealed, open_record, sealed_by
from registry.runtime import Runtime
from registry.sealing import AesKeyWrapper
from registry.storage import open_blob_store
from registry.vault import FolderKeyVault, VaultKeyWrapper
from sdk.audit import verify_log
from sdk.client import Client
from sdk.errors import ImprimaturError
from sdk.signing.cosign import policy_of, verify_note
from sdk.spec.log_tiles import TILE_WIDTH

FLIPS = int(os.environ.get("BIT_FLIPS", "120"))
SEED = int(os.environ.get("BIT_FLIPS_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
MARGIN: Final = timedelta(seconds=61)

HARMLESS: Final = {
    "blob_holders": "who brought what is read by nobody but the next upload",
    "blob_uploads.document": "whether a person brought it; an artefact's files have doors of their own",
    "blob_uploads.put_at": "when an upload is forgotten",
    "blob_uploads.wrapped_by": "a name; the key opens by itself or not at all",
    "concepts.title": "a label",
    "consents.content, consents.subject of who was erased": "the record opens no more, so nothing says who it was about",
    "consent_withdrawals.reason": "words",
    "credentials.issued_at": "nothing is decided by it",
    "credentials.label": "a label",
    "credentials.replaced_by": "shown to administrators; the log has the rotation",
    "credentials.last_used_at": "nothing is decided by it",
    "credentials.revoked_at": "sooner than the log says; later is told",
    "generations.expires_at": "bounds a grant that ends in minutes",
    "idempotency_keys": "kept for a day",
    "notice_acknowledgements.comment": "words",
    "notice_acknowledgements.ended_entry": "the end that the entry in the log comes after",
    "notices_sent.ended_entry": "the end that the entry in the log comes after",
    "policy_bundles.since": "the first is from when bundles came to be kept",
    "procrastinate": "not the registry's",
    "review_comments.reply_to": "under which other comment it is shown",
    "review_comments.comment": "its number; the words are in the log",
    "review_requests.requested_at": "the entry's time counts",
    "reviews.requested_by": "checked by the database against the request",
    "version_previews.first_at": "the entry's time counts",
    "webhook_deliveries": "what receivers answered",
    "version_states.changed_at": "the entry's time counts",
    "version_statuses.since": "the entries' times count",
    "webhooks.attempts": "how far it has come",
    "webhooks.description": "a label",
    "webhooks.due_at": "how far it has come",
    "webhooks.ended_at": "when it ended; that it did is in the log",
    "webhooks.last_fault": "what a receiver answered",
    "webhooks.position": "how far it has come",
    "version_keys.wrapped_by": "a name; the key opens by itself or not at all",
    "alembic_version": "the service does not start on another schema",
}


@pytest.fixture(scope="module")
def registry(postgres_server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryUnderTest]:
    folder = tmp_path_factory.mktemp("fsck")

    def on_disk(runtime: Runtime) -> Runtime:
        wrapper = VaultKeyWrapper(AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY), FolderKeyVault(folder / "vault"))
        return replace(witnessed(runtime), blobs=open_blob_store(str(folder / "blobs")), key_wrapper=wrapper)

    with postgres_server.fresh_database() as url, make_test_registry(url, change=on_disk) as made:
        fill(made)
        with made.engine.begin() as connection:
            drop_constraints(connection)
        yield made


LOOKED_INTO_BY: Final = {
    **dict.fromkeys(("log_entries", "log_nodes", "log_cosignatures"), "log"),
    **dict.fromkeys(("version_states", "version_statuses", "version_previews"), "states of versions"),
    **dict.fromkeys(("version_keys", "sealed_artefacts", "blob_uploads", "erased_keys"), "files"),
    **dict.fromkeys(("generation_versions", "licence_uses"), "generations"),
    **dict.fromkeys(("generated_images", "image_fingerprints"), "generation_results"),
    "version_consents": "concept_versions",
    "status_lists": "status lists",
}
"""Which part of the check looks into a table that has none of its own: where a flip of it is looked for first."""


def drop_constraints(connection: Connection) -> None:
    """Nothing but the check itself may notice a flip."""
    kinds = "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype IN ('f', 'c', 'u', 'p') "
    order = "AND connamespace = 'public'::regnamespace ORDER BY contype = 'f' DESC"
    for table, name in connection.execute(text(kinds + order)).all():
        connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT IF EXISTS "{name}" CASCADE'))
    for (index,) in connection.execute(text("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")).all():
        connection.execute(text(f'DROP INDEX IF EXISTS "{index}"'))
    for (table,) in connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all():
        connection.execute(text(f'ALTER TABLE "{table}" DISABLE TRIGGER USER'))


def report(registry: RegistryUnderTest) -> FsckReport:
    with registry.runtime.sessions() as session:
        return check(session, registry.runtime)


def any_finding(session: Session, runtime: Runtime, *, first: str) -> bool:
    """Whether a check finds anything; it begins with the part `first` and stops at the first finding."""
    checks = parts(session, runtime)
    order = sorted(checks, key=lambda part: part != first)
    with sealed_by(runtime.key_wrapper):
        return any(finding for part in order for finding in checks[part]())


def test_a_whole_registry_has_no_finding(registry: RegistryUnderTest) -> None:
    found = report(registry)
    assert found.findings == ()
    assert found.entries > 30


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DELETE FROM consent_events WHERE event = 'ask'", "1 entries consent:asked, of which 0 have a row"),
        ("UPDATE consent_events SET place = 3 - place", "its place is 2, in the log it is 1"),
        ("UPDATE review_assignments SET due_at = NULL", "due_at is None, entry"),
        ("DELETE FROM notices_sent", "notices_sent: the log has 1 entries notice:sent, of which 0 have a row"),
        ("UPDATE webhooks SET ended_at = NULL", "the log says that it has ended"),
        ("UPDATE webhooks SET ended_at = now()", "it has ended, and the log does not say so"),
        ("UPDATE webhooks SET url = 'https://evil.example'", "its url has not the digest"),
        ("UPDATE review_requests SET requested_by = 'demo/mallory'", "it was asked for by demo/trainer"),
        ("DELETE FROM log_statements", "the statement that entry"),
        ("UPDATE log_statements SET envelope = (SELECT envelope FROM log_statements LIMIT 1)", "its stated has not"),
        ("UPDATE policy_bundles SET content = '{}'", "its files have another digest"),
        ("UPDATE status_lists SET signed_at = signed_at + interval '1 year'", "is not the list that its row says"),
        ("UPDATE status_lists SET content = overlay(content placing 'A' from 99)", "0 of demo does not verify"),
        ("UPDATE licence_uses SET images = 1", "another number of images"),
        ("DELETE FROM licence_uses", "it counts under other licences"),
        ("UPDATE log_cosignatures SET cosigned_at = cosigned_at - interval '1 s'", "the cosignature of w over"),
        ("UPDATE generation_results SET recorded_at = recorded_at - interval '3 s'", "it says 2026"),
        ("UPDATE credentials SET revoked_at = NULL", "one of demo/old ended at"),
        ("UPDATE credentials SET revoked_at = revoked_at + interval '1 day'", "one of demo/worn ended at"),
        ("UPDATE subject_bindings SET bound = NOT bound", "it says bound False"),
        ("UPDATE generated_images SET watermark = 'wm61:0000000000000001'", "its images are not findable"),
        ("DELETE FROM reminders", "reminders: the log has 1 entries term:ending"),
    ],
)
def test_what_was_changed_in_a_table_is_named(registry: RegistryUnderTest, change: str, says: str) -> None:
    with registry.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text(change))
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            found = check(session, registry.runtime).findings
        transaction.rollback()
    assert any(says in finding for finding in found), found


def test_a_table_that_cannot_be_read_stops_no_other_check(registry: RegistryUnderTest) -> None:
    with registry.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("DROP TABLE reviews CASCADE"))
        connection.execute(text("DELETE FROM notices_sent"))
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            found = check(session, registry.runtime)
        transaction.rollback()
    assert {finding.partition(":")[0] for finding in found.findings} == {"reviews", "notices_sent"}
    assert "cannot be read to its end" in found.findings[0]


@dataclass(frozen=True)
class Place:
    """A value in the database."""

    table: str
    column: str
    row: str  # its ctid
    value: Any

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}"

    @property
    def is_harmless(self) -> bool:
        return any(self.name == each or self.name.startswith((f"{each}.", f"{each}_")) for each in HARMLESS)


def places(connection: Connection) -> list[Place]:
    generated = "SELECT table_name, column_name FROM information_schema.columns WHERE is_generated = 'ALWAYS'"
    derived = {tuple(row) for row in connection.execute(text(generated)).all()}  # by the database, from their row
    tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
    found = []
    for table in tables:
        for row in connection.execute(text(f'SELECT ctid::text AS place, * FROM "{table}"')).mappings():
            found += [
                Place(table, column, row["place"], value)
                for column, value in row.items()
                if column != "place" and value is not None and (table, column) not in derived
            ]
    return found


def flipped(value: Any, rng: random.Random) -> Any:
    """The value with one bit another; none where its type cannot hold any such value."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, bytes | str | list) and not value:
        return None
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(16))
    if isinstance(value, bytes):
        content = bytearray(value)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        return bytes(content)
    if isinstance(value, str):
        place = rng.randrange(len(value))
        other = chr(ord(value[place]) ^ (1 << rng.randrange(7)))
        return value[:place] + other + value[place + 1 :]
    if isinstance(value, datetime):
        return value + rng.choice((1, -1)) * timedelta(microseconds=1 << rng.randrange(50))
    if isinstance(value, date):
        return value + rng.choice((1, -1)) * timedelta(days=1 << rng.randrange(12))
    if isinstance(value, list):
        place = rng.randrange(len(value))
        return [*value[:place], flipped(value[place], rng), *value[place + 1 :]]
    raise TypeError(f"how a bit of {value!r} flips is not said here")


def is_near(place: Place, after: Any) -> bool:
    margin = timedelta(seconds=2) if place.table == "generation_results" else MARGIN
    return isinstance(place.value, datetime) and abs(place.value - after) < margin


def opens_the_same(registry: RegistryUnderTest, before: Any, after: Any) -> bool:
    """Whether it is a sealed record that opens to the same: what changed is the name of the key, which opens by itself."""
    wrapper = registry.runtime.key_wrapper
    sealed = isinstance(before, bytes) and is_sealed(before)
    return sealed and is_sealed(after) and open_record(after, wrapper) == open_record(before, wrapper)


class TestFlippedBits:
    @pytest.mark.timeout(60 + 3 * FLIPS)
    def test_of_rows_are_told_or_do_not_matter(self, registry: RegistryUnderTest) -> None:
        rng = random.Random(SEED)
        with registry.engine.connect() as connection:
            every = places(connection)
            erased = text("SELECT ctid::text FROM consents WHERE subject = 'subject-erased'")
            rows = connection.execute(erased).scalars().all()
            gone = {(column, row) for row in rows for column in ("consents.content", "consents.subject")}
        every = [place for place in every if (place.name, place.row) not in gone]
        by_column: dict[str, list[Place]] = {}
        for place in every:
            by_column.setdefault(place.name, []).append(place)
        silent, told, harmless = Counter[str](), 0, Counter[str]()
        for done in range(FLIPS):
            place = rng.choice(by_column[rng.choice(sorted(by_column))])
            after = flipped(place.value, rng)
            if after is None or place.is_harmless or is_near(place, after):
                harmless[place.name] += 1
            elif self.is_told(registry, place, after):
                told += 1
            elif opens_the_same(registry, place.value, after):
                harmless[place.name] += 1
            else:
                silent[place.name] += 1
                print(f"silent: {place.name}: {place.value!r} -> {after!r}"[:300], flush=True)
            if done % 500 == 499:
                print(f"{done + 1} bits, {told} told, {sum(silent.values())} silent", flush=True)
        print(f"seed {SEED}: {FLIPS} bits of {len(by_column)} columns, {told} told, {sum(harmless.values())} harmless")
        print(f"harmless: {dict(sorted(harmless.items()))}")
        assert silent == Counter()
        assert told

    def is_told(self, registry: RegistryUnderTest, place: Place, after: Any) -> bool:
        with registry.engine.connect() as connection, connection.begin() as transaction:
            try:
                statement = f'UPDATE "{place.table}" SET "{place.column}" = :after WHERE ctid = \'{place.row}\''
                connection.execute(text(statement), {"after": after})
            except DataError:
                return True  # no value of this type: PostgreSQL itself cannot read it
            with Session(connection, join_transaction_mode="create_savepoint") as session:
                found = any_finding(session, registry.runtime, first=LOOKED_INTO_BY.get(place.table, place.table))
            transaction.rollback()
        return found

    @pytest.mark.timeout(60 + FLIPS)
    def test_of_blobs_and_vault_files_are_told(self, registry: RegistryUnderTest) -> None:
        rng = random.Random(SEED)
        wrapper: Any = registry.runtime.key_wrapper
        folder: Path = wrapper._vault._folder
        files = [path for path in (*folder.rglob("*"), *(folder.parent / "blobs").rglob("*")) if path.is_file()]
        assert len(files) > 10
        for _ in range(max(10, FLIPS // 10)):
            path = rng.choice(files)
            content = path.read_bytes()
            path.write_bytes(flipped(content, rng))
            try:
                with registry.runtime.sessions() as session:
                    assert any_finding(session, registry.runtime, first="files"), path
            finally:
                path.write_bytes(content)

    @pytest.mark.timeout(60 + FLIPS)
    def test_of_tiles_and_checkpoints_are_told_outside(self, registry: RegistryUnderTest) -> None:
        rng, trust = random.Random(SEED), registry.runtime.trust_root
        with Client("http://registry.test", registry.credentials["auditor"], transport=registry.transport) as client:
            size = verify_log(client, trust).checkpoint.tree_size
            for _ in range(max(60, FLIPS // 10)):
                with pytest.raises(ImprimaturError):
                    log = verify_log(Flipping(client, rng, size), trust)
                    verify_note(log.note, policy_of(trust, registry.runtime.witnesses))


class Flipping:
    """A source of tiles that flips a bit in one of its answers."""

    def __init__(self, client: Client, rng: random.Random, size: int) -> None:
        self.client, self.rng, self.which = client, rng, rng.randrange(3)
        assert size < TILE_WIDTH

    def log_checkpoint(self) -> bytes:
        return self._answer(0, self.client.log_checkpoint())

    def log_entry_bundle(self, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return self._answer(1, self.client.log_entry_bundle(index, width=width))

    def log_tile(self, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return self._answer(2, self.client.log_tile(level, index, width=width))

    def _answer(self, which: int, content: bytes) -> bytes:
        flip: bytes = flipped(content, self.rng) if which == self.which else content
        return flip
