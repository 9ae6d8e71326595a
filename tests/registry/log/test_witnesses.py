"""Witnesses in processes of their own: they cosign, receipts carry it, clients ask for it, and a fork gets nothing."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from support.asgi import AsgiTransport
from support.database import DatabaseServer
from support.registry import BASE_URL, RegistryUnderTest, make_test_registry

from registry.app import create_app
from registry.log.service import append
from registry.log.witnesses import collect
from sdk.cache import FileLogMemory, LogWatch
from sdk.cli.application import run
from sdk.client import Client
from sdk.errors import NotFound, ThresholdNotMet
from sdk.receipt import verify_log_proof
from sdk.resolve import require_witnessed
from sdk.signing.cosign import policy_of
from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_policy import LogPolicy, parse_log_policy

pytestmark = pytest.mark.long
RUN = (sys.executable, "-c", "from sdk.cli import main; main()")


class WitnessProcess:
    """`imprimatur witness serve` in a process; killed hard and started again at will."""

    def __init__(self, folder: Path, name: str, logs: Path) -> None:
        self.folder, self.logs = folder, logs
        said = io.StringIO()
        with redirect_stdout(said):
            assert run(["witness", "init", str(folder), "--name", f"{name}.test/w"]) == 0
        self.key = said.getvalue().strip()
        self.start()

    def start(self) -> None:
        command = [*RUN, "witness", "serve", str(self.folder), "--logs", str(self.logs), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"})
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        found = re.search(r"listens on (http://\S+)", line)
        assert found, line
        self.url = found[1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Witnessed:
    """A registry with two witnesses, both of which must cosign."""

    def __init__(self, registry: RegistryUnderTest, folder: Path) -> None:
        logs = folder / "logs.txt"
        logs.write_text(f"log {policy_of(registry.runtime.trust_root).logs[0].key}\nquorum none\n")
        self.processes = {name: WitnessProcess(folder / name, name, logs) for name in ("w1", "w2")}
        self.made = registry

    @property
    def policy(self) -> LogPolicy:
        lines = [f"witness {name} {each.key} {each.url}" for name, each in self.processes.items()]
        return parse_log_policy("\n".join([*lines, "group both all w1 w2", "quorum both", ""]).encode())

    @property
    def registry(self) -> RegistryUnderTest:
        runtime = replace(self.made.runtime, witnesses=self.policy)
        return replace(self.made, runtime=runtime, transport=AsgiTransport(create_app(runtime)))

    def collect(self) -> tuple[str, ...]:
        with httpx.Client(timeout=10) as http:
            return collect(self.registry.runtime, http)

    def client(self) -> Client:
        made = self.registry
        return Client(BASE_URL, made.credentials["auditor"], transport=made.transport)

    def act(self, subject: str = "demo/fox") -> int:
        runtime = self.made.runtime
        with runtime.transaction() as session:
            return append(
                session,
                runtime,
                event=AuditEventType.CONCEPT_CREATED,
                actor=self.made.principals["owner"],
                subject=subject,
            )


@pytest.fixture
def witnessed(postgres_server: DatabaseServer, tmp_path: Path) -> Iterator[Witnessed]:
    with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
        made = Witnessed(registry, tmp_path)
        try:
            yield made
        finally:
            for process in made.processes.values():
                process.kill()


class TestWitnesses:
    def test_cosign_and_a_receipt_carries_it(self, witnessed: Witnessed) -> None:
        trust, index = witnessed.made.runtime.trust_root, witnessed.act()
        assert witnessed.collect() == ("w1", "w2")
        with witnessed.client() as client:
            proven = verify_log_proof(client.log_proof(index), policy_of(trust, witnessed.policy))
            assert set(proven.cosigned) == {"w1", "w2"}
            later = witnessed.act()
            with pytest.raises(ThresholdNotMet, match="nobody"):
                verify_log_proof(client.log_proof(later), policy_of(trust, witnessed.policy))
            assert witnessed.collect() == ("w1", "w2")
            assert verify_log_proof(client.log_proof(later), policy_of(trust, witnessed.policy)).index == later

    def test_that_are_away_stop_nothing_and_one_is_no_quorum(self, witnessed: Witnessed) -> None:
        witnessed.act()
        witnessed.processes["w1"].kill()
        assert witnessed.collect() == ("w2",)
        with witnessed.client() as client, pytest.raises(NotFound, match="no quorum"):
            client.log_witnessed_checkpoint()
        witnessed.processes["w1"].start()
        assert witnessed.collect() == ("w1",)
        with witnessed.client() as client:
            client.log_witnessed_checkpoint()

    def test_remember_through_kill_9(self, witnessed: Witnessed) -> None:
        for number in range(4):
            witnessed.act(f"demo/c-{number}")
            assert witnessed.collect() == ("w1", "w2")
            for process in witnessed.processes.values():
                process.kill()
                process.start()

    def test_cosign_no_fork_and_the_service_says_so(
        self, witnessed: Witnessed, caplog: pytest.LogCaptureFixture, postgres_server: DatabaseServer
    ) -> None:
        witnessed.act("demo/fox")
        witnessed.collect()
        with postgres_server.fresh_database() as url, make_test_registry(url) as fork:
            forked = Witnessed.__new__(Witnessed)
            forked.made, forked.processes = fork, witnessed.processes
            for subject in ("demo/狐", "demo/wolf"):
                forked.act(subject)
            assert forked.collect() == ()
        assert "another history" in caplog.text

    def test_are_asked_again_from_what_they_saw_when_the_registry_forgot(self, witnessed: Witnessed) -> None:
        witnessed.act()
        witnessed.collect()
        with witnessed.made.engine.begin() as connection:
            connection.execute(text("ALTER TABLE log_cosignatures DISABLE TRIGGER ALL"))
            connection.execute(text("DELETE FROM log_cosignatures"))
        witnessed.act()
        assert witnessed.collect() == ("w1", "w2")


class TestClient:
    def test_asks_for_a_quorum_over_what_it_rests_on(self, witnessed: Witnessed, tmp_path: Path) -> None:
        trust, index = witnessed.made.runtime.trust_root, witnessed.act()
        with witnessed.client() as client:
            memory = FileLogMemory(tmp_path / "seen")
            watch = LogWatch(memory, trust, lambda old, new: client.log_consistency(old, new).hashes)
            with pytest.raises(NotFound):
                require_witnessed(client, watch, trust, witnessed.policy, [index])
            witnessed.collect()
            require_witnessed(client, watch, trust, witnessed.policy, [index])
            later = witnessed.act()
            with pytest.raises(ThresholdNotMet, match="not witnessed yet"):
                require_witnessed(client, watch, trust, witnessed.policy, [later])
            require_witnessed(client, watch, trust, None, [later])
