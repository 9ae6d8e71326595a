"""Several processes on one port, with the real processes: they share the work, are mended, count together, and do once what is done once."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
from support.database import DatabaseServer
from support.processes import eventually, free_address

from registry.cli.init import Plan, create_workspace
from registry.cli.process import Child, start_child, stop_children
from registry.cli.workspace import Workspace
from sdk.client import Client
from sdk.profile import load_profile
from sdk.spec.ids import TenantName

pytestmark = pytest.mark.long
WORKERS = 2
ASKS_SECONDS = 0.5  # uvicorn's parent rests that long between two questions to its workers
ASKED = 30  # requests, each on a connection of its own


class AskedWitness(BaseHTTPRequestHandler):
    """Cosigns nothing; remembers who asked, on which connection."""

    protocol_version = "HTTP/1.1"
    connections: set[int] = set()
    rounds = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).rounds += 1
        self.connections.add(self.client_address[1])
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def asked_witness() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), AskedWitness)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def workspace(postgres_server: DatabaseServer) -> Iterator[Workspace]:
    with (
        asked_witness() as url,
        postgres_server.fresh_database(migrated=False) as database,
        tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name,
    ):
        plan = Plan(tenant=TenantName("demo"), registry=free_address(), trainer=free_address(), database_url=database)
        made = create_workspace(Path(name) / "ws", plan)
        (made.root / "witnesses.txt").write_text(f"witness w1 {witness_key()} {url}\nquorum none\n")
        settings = made.settings.read_text().replace("[registry]\n", f"[registry]\n{SETTINGS}", 1)
        made.settings.write_text(settings)
        yield made


SETTINGS = f'workers = {WORKERS}\nwitness_policy = "witnesses.txt"\nwitness_seconds = 1\n'


def witness_key() -> str:
    """A verifier key that cosigns (C2SP signed-note: name, key id, and algorithm 4 with the key)."""
    key = b"\x04" + hashlib.sha256(b"w1").digest()
    number = hashlib.sha256(b"w1.test/w\n" + key).digest()[:4].hex()
    return f"w1.test/w+{number}+{base64.b64encode(key).decode()}"


@pytest.fixture(scope="module")
def started() -> Iterator[list[Child]]:
    """What was started so far, the newest last; some test kills it."""
    children: list[Child] = []
    yield children
    stop_children(children)


@pytest.fixture
def serving(workspace: Workspace, started: list[Child]) -> Child:
    """The parent of the workers that serve."""
    if not started or started[-1].ended:
        log = workspace.logs / "registry.log"
        started.append(start_child("registry", "registry", "serve", str(workspace.root), log=log))
    child = started[-1]
    assert eventually(lambda: answers(workspace) and len(workers_of(child)) == WORKERS), child.last_words(30)
    return child


def workers_of(child: Child) -> list[psutil.Process]:
    return [one for one in psutil.Process(child.process.pid).children() if _is_worker(one)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):  # it has just ended
        return False


def answers(workspace: Workspace) -> bool:
    profile = load_profile(workspace.profile("auditor"))
    try:
        with Client(profile.registry, profile.credential) as client:
            return bool(client.whoami().principal)
    except Exception:
        return False


def counted(workspace: Workspace) -> float:
    """How often /v1/whoami was answered, says /metrics, whoever is asked."""
    registry = load_profile(workspace.profile("auditor")).registry
    said = httpx.get(f"{registry}/metrics", trust_env=False).text
    lines = [line for line in said.splitlines() if line.startswith("imprimatur_http_requests_total{")]
    assert "imprimatur_database_up 1" in said
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'route="/v1/whoami"' in line)


class TestWorkers:
    def test_are_as_many_as_the_settings_say_and_count_together(self, workspace: Workspace, serving: Child) -> None:
        before = counted(workspace)
        for _ in range(ASKED):
            assert answers(workspace)
        assert [counted(workspace) - before for _ in range(6)] == [ASKED] * 6

    def test_one_that_is_killed_is_started_again_and_the_other_serves_on(
        self, workspace: Workspace, serving: Child
    ) -> None:
        first, second = workers_of(serving)
        first.kill()
        assert all(answers(workspace) for _ in range(5))
        assert eventually(lambda: len({one.pid for one in workers_of(serving)} - {first.pid}) == WORKERS)
        assert second.pid in {one.pid for one in workers_of(serving)}
        assert all(answers(workspace) for _ in range(5))

    def test_one_that_is_killed_while_its_parent_waits_for_its_answer_is_started_again(
        self, workspace: Workspace, serving: Child
    ) -> None:
        other, silent = sorted(workers_of(serving), key=psutil.Process.create_time)
        silent.suspend()
        time.sleep(2 * ASKS_SECONDS)
        silent.kill()
        assert eventually(lambda: len({one.pid for one in workers_of(serving)} - {silent.pid}) == WORKERS, 20)
        assert other.pid in {one.pid for one in workers_of(serving)}

    def test_witnesses_are_asked_by_one_process(self, workspace: Workspace, serving: Child) -> None:
        AskedWitness.connections.clear()
        seen = AskedWitness.rounds
        assert eventually(lambda: AskedWitness.rounds >= seen + 3)
        assert len(AskedWitness.connections) == 1

    def test_what_the_parent_leaves_behind_when_it_is_killed_goes_too(
        self, workspace: Workspace, serving: Child
    ) -> None:
        left = workers_of(serving)
        serving.process.kill()
        serving.process.wait()
        assert psutil.wait_procs(left, timeout=30)[1] == []
        assert not answers(workspace)

    def test_one_that_is_still_starting_when_the_parent_is_killed_goes_too(
        self, workspace: Workspace, serving: Child
    ) -> None:
        first, second = workers_of(serving)
        first.kill()
        assert eventually(lambda: {one.pid for one in workers_of(serving)} - {first.pid, second.pid}), "a new one"
        left = workers_of(serving)
        serving.process.kill()
        serving.process.wait()
        assert psutil.wait_procs(left, timeout=30)[1] == []
