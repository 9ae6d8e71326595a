"""Appending under one lock, and proving what was committed; nothing else is ever signed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from support.registry import ORIGIN, RegistryUnderTest

from registry.log.proofs import checkpoint_note, prove_consistency, receipt, receipt_to_come, receipts
from registry.log.service import append, tree_size
from registry.log.tree import Node, completed_by
from sdk.errors import FormatError, InputError, NotFound, ServiceError
from sdk.signing.trust import verify_checkpoint
from sdk.spec.digest import Digest
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogReceipt, parse_log_entry
from sdk.spec.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from sdk.spec.opening import GrownReceipt

DOCUMENT = Digest.of(b"a document beside the log")


def log_one(registry: RegistryUnderTest, subject: str = "demo/fox") -> int:
    with registry.runtime.transaction() as session:
        return append(
            session,
            registry.runtime,
            event=AuditEventType.CONCEPT_CREATED,
            actor=registry.principals["owner"],
            subject=subject,
            evidence={"document": DOCUMENT},
            facts={"kind": "subject"},
        )


def size_of(registry: RegistryUnderTest) -> int:
    with registry.runtime.transaction() as session:
        return tree_size(session)


def verify_receipt(registry: RegistryUnderTest, proof: LogReceipt) -> int:
    """Verify as an outsider does; the size of the tree it was proven in."""
    return verified(registry, proof).tree_size


def verified(registry: RegistryUnderTest, proof: LogReceipt) -> LogCheckpoint:
    """The checkpoint of a proof that holds."""
    checkpoint = verify_checkpoint(proof.checkpoint.encode(), registry.runtime.trust_root)
    verify_inclusion(
        leaf=leaf_hash(proof.entry),
        index=proof.index,
        tree_size=checkpoint.tree_size,
        proof=proof.inclusion,
        root=checkpoint.root_hash,
    )
    return checkpoint


class TestAppend:
    def test_gives_the_next_index_and_logs_what_was_said(self, registry: RegistryUnderTest) -> None:
        before = size_of(registry)
        index = log_one(registry)
        entry = parse_log_entry(receipt(registry.runtime, index).entry)
        assert (index, size_of(registry)) == (before, before + 1)
        assert (entry.event, entry.actor, entry.subject) == (AuditEventType.CONCEPT_CREATED, "demo/owner", "demo/fox")
        assert (entry.at, entry.evidence, entry.facts) == (
            registry.clock(),
            {"document": DOCUMENT},
            {"kind": "subject"},
        )

    def test_refuses_an_entry_over_the_limit(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(FormatError, match="at most 65535"), registry.runtime.transaction() as session:
            append(
                session,
                registry.runtime,
                event=AuditEventType.CONCEPT_CREATED,
                actor=registry.principals["owner"],
                subject="demo/fox",
                facts={"long": "x" * 65_536},
            )

    def test_from_many_threads_leaves_no_gap_and_one_tree(self, registry: RegistryUnderTest) -> None:
        before = size_of(registry)
        with ThreadPoolExecutor(8) as pool:
            indices = list(pool.map(lambda number: log_one(registry, f"demo/c{number}"), range(40)))
        assert sorted(indices) == list(range(before, before + 40))
        with registry.runtime.transaction() as session:
            proofs = receipts(session, registry.runtime, indices)
        assert {verify_receipt(registry, proof) for proof in proofs} == {before + 40}

    def test_waits_for_the_act_before_it_and_is_invisible_until_committed(self, registry: RegistryUnderTest) -> None:
        before = size_of(registry)
        second = threading.Thread(target=log_one, args=(registry, "demo/second"))
        with registry.runtime.transaction() as session:
            append(
                session,
                registry.runtime,
                event=AuditEventType.CONCEPT_CREATED,
                actor=registry.principals["owner"],
                subject="demo/first",
            )
            second.start()
            second.join(0.3)
            assert second.is_alive(), "the second append did not wait for the first act to end"
            assert size_of(registry) == before
        second.join(10)
        assert size_of(registry) == before + 2

    def test_is_one_call_and_few_hashes_however_long_the_log(self, registry: RegistryUnderTest) -> None:
        while size_of(registry) < 63:
            log_one(registry)
        statements: list[str] = []

        def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
            statements.append(statement)

        with registry.engine.connect() as connection:
            before = connection.execute(text("SELECT count(*) FROM log_nodes")).scalar_one()
        event.listen(registry.engine, "before_cursor_execute", note)
        log_one(registry)  # the 64th: completes a subtree on every level
        event.remove(registry.engine, "before_cursor_execute", note)
        assert sum("append_to_log" in statement for statement in statements) == 1
        assert not any("log_nodes" in statement for statement in statements)
        with registry.engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM log_nodes")).scalar_one() == before + 7

    def test_makes_the_hashes_that_the_definition_has(self, registry: RegistryUnderTest) -> None:
        while size_of(registry) < 70:
            log_one(registry)
        with registry.engine.connect() as connection:
            contents = connection.execute(text("SELECT content FROM log_entries ORDER BY leaf_index")).scalars().all()
            rows = connection.execute(text("SELECT level, node_index, hash FROM log_nodes")).all()
        made: dict[Node, bytes] = {}

        def read(nodes: Iterable[Node]) -> dict[Node, bytes]:
            return {node: made[node] for node in nodes}

        for index, content in enumerate(contents):
            made.update(completed_by(index, leaf_hash(bytes(content)), read))
        assert {Node(level, place): bytes(digest) for level, place, digest in rows} == made

    def test_refuses_to_go_on_over_a_lost_hash(self, registry: RegistryUnderTest) -> None:
        while size_of(registry) % 2 == 0:
            log_one(registry)
        with registry.engine.begin() as connection:
            connection.execute(text("ALTER TABLE log_nodes DISABLE TRIGGER ALL"))
            connection.execute(text("DELETE FROM log_nodes"))
        with pytest.raises(DBAPIError, match="the log lacks hash"):
            log_one(registry)


class TestDurability:
    """Rule 4: nothing is told before it is on disk."""

    def statements(self, registry: RegistryUnderTest, act: Callable[[], object]) -> list[str]:
        found: list[str] = []

        def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
            found.append(statement)

        event.listen(registry.engine, "before_cursor_execute", note)
        act()
        event.remove(registry.engine, "before_cursor_execute", note)
        return found

    def test_an_act_that_appended_is_flushed_before_its_transaction_returns(self, registry: RegistryUnderTest) -> None:
        assert "pg_logical_emit_message" in self.statements(registry, lambda: log_one(registry))[-1]
        with registry.engine.connect() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() in ("on", "off")

    def test_what_is_signed_is_flushed(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.look() as connection:
            name = connection.execute(text("SELECT current_database()")).scalar_one()
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = on"))  # tests do without
        registry.engine.dispose()
        with registry.runtime.sessions.begin() as session:  # committed, and not flushed: as beside another writer
            append(
                session,
                registry.runtime,
                event=AuditEventType.CONCEPT_CREATED,
                actor=registry.principals["owner"],
                subject="demo/fox",
            )
        with registry.runtime.look() as connection:
            inserted = connection.execute(text("SELECT pg_current_wal_insert_lsn()")).scalar_one()
        receipt(registry.runtime, size_of(registry) - 1)
        with registry.runtime.look() as connection:
            reached = text("SELECT pg_current_wal_flush_lsn() >= CAST(:inserted AS pg_lsn)")
            assert connection.execute(reached, {"inserted": inserted}).scalar_one()

    def test_a_receipt_to_come_is_read_by_the_statement_that_waits(self, registry: RegistryUnderTest) -> None:
        receipts: list[GrownReceipt] = []

        def act() -> None:
            with registry.runtime.transaction(registry.principals["owner"].tenant) as session:
                index = append(
                    session,
                    registry.runtime,
                    event=AuditEventType.CONCEPT_CREATED,
                    actor=registry.principals["owner"],
                    subject="demo/fox",
                )
                coming = receipt_to_come(session, registry.runtime, index)
            receipts.append(coming())

        *_, last = self.statements(registry, act)
        assert "log_nodes" in last
        assert "pg_logical_emit_message" in last
        assert receipts == [receipt(registry.runtime, size_of(registry) - 1)]


class TestReceipt:
    def test_of_every_entry_convinces_an_outsider(self, registry: RegistryUnderTest) -> None:
        for _ in range(13):
            log_one(registry)
        size = size_of(registry)
        for index in range(size):
            assert verify_receipt(registry, receipt(registry.runtime, index)) == index + 1

    def test_proves_that_the_log_grew_from_what_was_known(self, registry: RegistryUnderTest) -> None:
        for _ in range(13):
            log_one(registry)
        size = size_of(registry)
        known = {count: verified(registry, receipt(registry.runtime, count - 1)) for count in range(1, size + 1)}
        for old in range(size + 1):
            growth = receipt(registry.runtime, size - 1, since=old).growth
            assert growth
            assert (growth.old_size, growth.new_size) == (old, size)
            verify_consistency(
                old_size=old,
                new_size=size,
                old_root=known[old].root_hash if old else EMPTY_ROOT,
                new_root=known[size].root_hash,
                proof=growth.hashes,
            )
        assert receipt(registry.runtime, size - 1).growth is None
        assert receipt(registry.runtime, size - 1, since=size + 1).growth is None

    def test_several_share_one_checkpoint(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction() as session:
            proofs = receipts(session, registry.runtime, [2, 0])
        assert [proof.index for proof in proofs] == [2, 0]
        assert len({proof.checkpoint for proof in proofs}) == 1

    def test_of_what_is_not_there_is_refused(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(NotFound, match="there is no entry"):
            receipt(registry.runtime, size_of(registry))


class TestCheckpoint:
    def test_is_signed_by_the_log_key_over_the_whole_log(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction() as session:
            checkpoint = verify_checkpoint(
                checkpoint_note(session, registry.runtime).encode(), registry.runtime.trust_root
            )
        assert (checkpoint.origin, checkpoint.tree_size) == (ORIGIN, size_of(registry))

    def test_is_never_signed_over_what_is_not_committed(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(ServiceError, match="never signed"), registry.runtime.transaction() as session:
            append(
                session,
                registry.runtime,
                event=AuditEventType.CONCEPT_CREATED,
                actor=registry.principals["owner"],
                subject="demo/fox",
            )
            checkpoint_note(session, registry.runtime)

    def test_is_refused_when_stored_hashes_are_gone(self, registry: RegistryUnderTest) -> None:
        with registry.engine.begin() as connection:
            connection.execute(text("ALTER TABLE log_nodes DISABLE TRIGGER ALL"))
            connection.execute(text("DELETE FROM log_nodes"))
        with pytest.raises(ServiceError, match="lacks"), registry.runtime.transaction() as session:
            checkpoint_note(session, registry.runtime)


class TestConsistency:
    def test_holds_between_any_two_sizes(self, registry: RegistryUnderTest) -> None:
        roots = {}
        for _ in range(9):
            log_one(registry)
            with registry.runtime.transaction() as session:
                note = checkpoint_note(session, registry.runtime).encode()
            checkpoint = verify_checkpoint(note, registry.runtime.trust_root)
            roots[checkpoint.tree_size] = checkpoint.root_hash
        with registry.runtime.transaction() as session:
            for old in roots:
                for new in (size for size in roots if size >= old):
                    proof = prove_consistency(session, old_size=old, new_size=new)
                    verify_consistency(
                        old_size=old, new_size=new, old_root=roots[old], new_root=roots[new], proof=proof.hashes
                    )

    def test_is_refused_backwards_and_into_the_future(self, registry: RegistryUnderTest) -> None:
        size = size_of(registry)
        with registry.runtime.transaction() as session:
            with pytest.raises(InputError, match="never shrinks"):
                prove_consistency(session, old_size=2, new_size=1)
            with pytest.raises(NotFound, match=f"no size {size + 1}"):
                prove_consistency(session, old_size=1, new_size=size + 1)
