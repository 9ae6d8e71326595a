"""kill -9 of the registry and of PostgreSQL at random moments under load: no acknowledged act is lost, none is half done.

A real workspace with a real server process and a PostgreSQL that flushes to disk. Threads record consents and set
names of concepts; what was answered is kept. Afterwards the log is recomputed from its tiles, and:
1. every acknowledged act is the entry that its receipt says, and the receipt's proof holds;
2. no act is logged twice, although the client repeats what gave no answer;
3. every entry has its row and every row its entry.
`make crash` kills 100 times (`CRASH_KILLS`); `CRASH_SEED` repeats a run's moments.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pytest
from support.governed import consent_record

from registry.cli import postgres
from registry.cli.init import Plan, create_workspace
from registry.cli.process import Child, start_child
from registry.cli.workspace import Address, Workspace
from sdk.audit import verify_log
from sdk.client import Client
from sdk.errors import Conflict, ImprimaturError, ServiceError
from sdk.profile import load_profile
from sdk.resolve import load_trust_root
from sdk.signing.receipts import verify_receipt
from sdk.spec.api import NewConcept, RecordAccepted
from sdk.spec.ids import ConceptId, TenantName
from sdk.spec.log_entry import AuditEventType, parse_log_entry
from sdk.spec.manifest import ConceptKind

pytestmark = pytest.mark.long
KILLS = int(os.environ.get("CRASH_KILLS", "4"))
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
WRITERS = 3
START_SECONDS = 60.0


@dataclass
class Acknowledged:
    """What the registry answered, as it came."""

    records: list[RecordAccepted] = field(default_factory=list)
    concepts: list[ConceptId] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Machine:
    """One registry server and its PostgreSQL, to be killed."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._start_database()
        self.server = self._start_server()

    def kill_server(self) -> None:
        """kill -9, and start again."""
        self.server.process.kill()
        self.server.process.wait()
        self.server = self._start_server()

    def kill_database(self) -> None:
        """kill -9 of the postmaster with all its processes, and start again; the server is left to notice."""
        postmaster = postgres.running(self.workspace.database)
        assert postmaster is not None
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)
        self._start_database()

    def close(self) -> None:
        self.server.process.kill()
        self.server.process.wait()
        postgres.stop(self.workspace.database)

    def wait_until_served(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        with client_of(self.workspace, "trainer") as client:
            while True:
                try:
                    client.ready()
                except ImprimaturError:
                    assert time.monotonic() < deadline, self.server.last_words()
                    time.sleep(0.1)
                else:
                    return

    def _start_database(self) -> None:
        self.workspace.database_url.write_text(postgres.start(self.workspace.database))

    def _start_server(self) -> Child:
        log = self.workspace.logs / "registry.log"
        return start_child("registry", "registry", "serve", str(self.workspace.root), log=log)


def client_of(workspace: Workspace, name: str) -> Client:
    profile = load_profile(workspace.profile(name))
    return Client(profile.registry, profile.credential, timeout=10.0)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="imprimatur-crash-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        addresses = []
        for _ in range(2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                addresses.append(Address(host="127.0.0.1", port=probe.getsockname()[1]))
        plan = Plan(tenant=TenantName("demo"), registry=addresses[0], trainer=addresses[1])
        made = Machine(create_workspace(Path(name) / "ws", plan))
        try:
            made.wait_until_served()
            yield made
        finally:
            made.close()


def write(workspace: Workspace, number: int, stopping: threading.Event, done: Acknowledged) -> None:
    """Act until told to stop; keep what was acknowledged. Being away is no fault, losing an act is."""
    with client_of(workspace, "trainer") as client:
        for act in range(1_000_000):
            if stopping.is_set():
                return
            concept = ConceptId(f"demo/c-{number}-{act}")
            try:
                client.create_concept(NewConcept(id=concept, kind=ConceptKind.SUBJECT, title="crash"))
                with done.lock:
                    done.concepts.append(concept)
                record = client.give_consent(consent_record(concept, subject=f"subject-{number}-{act}"))
                with done.lock:
                    done.records.append(record)
            except (Conflict, ServiceError):
                time.sleep(0.05)  # no answer, or one that was lost: not acknowledged
            except ImprimaturError as exc:
                with done.lock:
                    done.unexpected.append(repr(exc))


class TestKilledAtRandom:
    @pytest.mark.timeout(60 * KILLS + 300)
    def test_loses_no_acknowledged_act(self, machine: Machine) -> None:
        moments = random.Random(SEED)
        stopping, done = threading.Event(), Acknowledged()
        writers = [
            threading.Thread(target=write, args=(machine.workspace, number, stopping, done), daemon=True)
            for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        served = []
        try:
            for kill in range(KILLS):
                before = len(done.records)
                time.sleep(moments.uniform(0.2, 1.5))
                (machine.kill_database if kill % 2 else machine.kill_server)()
                machine.wait_until_served()
                served.append(len(done.records) - before)
        finally:
            stopping.set()
            for writer in writers:
                writer.join(60)
        print(
            f"seed {SEED}: {KILLS} kills, {len(done.records)} consents and {len(done.concepts)} concepts acknowledged"
        )
        assert done.unexpected == []
        assert done.records, "nothing was acknowledged, so nothing was tested"
        check(machine.workspace, done)


def check(workspace: Workspace, done: Acknowledged) -> None:
    """See the module docstring."""
    profile = load_profile(workspace.profile("auditor"))
    trust = load_trust_root(profile.trust_root, now=parse_log_entry(done.records[0].receipt.entry).at)
    with client_of(workspace, "auditor") as client:
        log = verify_log(client, trust, remembered=[r.receipt.checkpoint.encode() for r in done.records[::10]])
    for record in done.records:  # 1
        entry = verify_receipt(record.receipt, trust)
        assert log.entries[record.receipt.index] == entry
        assert (entry.subject, entry.evidence["record"]) == (record.id, record.digest)
    logged = {event: Counter(e.subject for e in log.entries if e.event is event) for event in AuditEventType}
    concepts, consents = logged[AuditEventType.CONCEPT_CREATED], logged[AuditEventType.CONSENT_GIVEN]
    assert set(done.concepts) <= concepts.keys()
    assert max(concepts.values()) == max(consents.values()) == 1  # 2
    with psycopg.connect(workspace.database_url.read_text()) as connection:  # 3
        for table, subjects in (("concepts", concepts), ("consents", consents)):
            rows = connection.execute(f"SELECT id, log_index FROM {table}").fetchall()
            assert {name for name, _ in rows} == subjects.keys()
            assert all(log.entries[index].subject == name for name, index in rows)
