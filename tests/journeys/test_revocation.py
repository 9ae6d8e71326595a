"""A revocation holds within its bound at three clients, each a process of its own; without the last check it does not.

The bound (docs/revocation.md): T + S after the acknowledgement, T the life of a status list, S what clocks may differ.
near     asks the registry itself, again and again.
far      sits behind a mirror that goes on showing what it kept from before, and its clock is S behind.
slow     began before, and draws for longer than the bound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from support.database import DatabaseServer
from support.registry import BASE_URL
from support.studio import TRAINER_URL, StudioInProcess, make_embedding, make_studio
from support.versions import FOX, Steps, accepted

from registry.runtime import Runtime
from sdk.generate.base_model import base_model_digest

pytestmark = pytest.mark.long
TTL, SKEW = 5, 1.0  # seconds
BOUND = TTL + SKEW
SLOW = BOUND + 4  # seconds that the slow client draws
ROOT = Path(__file__).resolve().parents[2]


def short_lists(runtime: Runtime) -> Runtime:
    return replace(runtime, settings=replace(runtime.settings, status_ttl_seconds=TTL))


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def mirror(registry: str, kept: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """Answers what it keeps by path from what it kept, whatever became of it, and passes on the rest."""
    with httpx.Client(base_url=registry, timeout=30) as inner:

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass(b"")

            def do_POST(self) -> None:
                self._pass(self.rfile.read(int(self.headers["Content-Length"])))

            def _pass(self, body: bytes) -> None:
                status, content = kept.get(self.path, (0, b""))
                if not status:
                    names = ("Authorization", "Content-Type", "Idempotency-Key")
                    headers = {name: self.headers[name] for name in names if self.headers[name]}
                    answer = inner.request(self.command, self.path, content=body, headers=headers)
                    status, content = answer.status_code, answer.content
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@dataclass
class Told:
    """A client's process, and what it has told so far."""

    process: subprocess.Popen[str]
    events: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            self.events.extend(json.loads(line) for line in lines)

    def times(self, *events: str) -> list[float]:
        """When each of these happened."""
        return [float(str(each["at"])) for each in self.events if each["event"] in events]

    def wait_for(self, event: str) -> None:
        deadline = time.monotonic() + 60
        while not self.times(event):
            assert time.monotonic() < deadline, f"no {event}: {self.events[-3:]}"
            time.sleep(0.02)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._reader.join()


@dataclass(frozen=True)
class Clients:
    """Starts clients, each with a profile of its own."""

    studio: StudioInProcess
    told: dict[str, Told] = field(default_factory=dict)

    def start(self, name: str, address: str, *options: str, until: str) -> None:
        profile = self.studio.profile("app").path
        own = profile.with_name(f"{name}.toml")
        own.write_text(profile.read_text().replace(BASE_URL, address).replace(TRAINER_URL, address))
        own.chmod(0o600)
        path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "", "HOME": str(self.studio.folder)}
        command = [sys.executable, "-m", "support.composing_client", str(own), "--skew", str(SKEW), *options]
        self.told[name] = Told(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=path))
        self.told[name].wait_for(until)


@pytest.fixture
def clients(postgres_server: DatabaseServer, tmp_path: Path) -> Iterator[Clients]:
    with ExitStack() as stack:
        url = stack.enter_context(postgres_server.fresh_database())
        studio = stack.enter_context(make_studio(url, tmp_path, change=short_lists))
        made = Clients(studio)
        stack.callback(lambda: [told.end() for told in made.told.values()])
        yield made


def revoke_in_the_middle(clients: Clients, *slow: str) -> float:
    """Let three clients compose, revoke, and let them go on; returns when it was acknowledged."""
    steps = Steps(clients.studio.registry)
    base = base_model_digest(clients.studio.base_model)
    version = steps.approved(embedding=make_embedding(FOX), base_model=base)
    kept: dict[str, tuple[int, bytes]] = {}
    with served(clients.studio.registry.app) as address, mirror(address, kept) as behind:
        clients.start("near", address, "--drawing", "0.05", until="handed-out")
        clients.start("far", behind, "--drawing", "0.05", "--behind", str(SKEW), until="handed-out")
        clients.start("slow", address, "--times", "1", "--drawing", str(SLOW), *slow, until="drawing")
        for path in ("/v1/status/demo/0", "/v1/resolve?ref=demo%2Ffox"):
            answer = clients.studio.registry.client("app").get(path)
            kept[path] = (answer.status_code, answer.content)
        accepted(steps.revoke(version))
        acknowledged = time.time()
        assert clients.told["slow"].process.wait(60) == 0
        time.sleep(max(0.0, acknowledged + SLOW - time.time()))
        for told in clients.told.values():
            told.end()
    return acknowledged


@pytest.mark.timeout(280)
class TestRevocation:
    def test_holds_within_its_bound_at_three_clients(self, clients: Clients) -> None:
        acknowledged = revoke_in_the_middle(clients)
        far = clients.told["far"]
        assert max(far.times("verified")) > acknowledged, "the mirror deceived the far one for a while"
        for name, told in clients.told.items():
            last = max(told.times("verified", "handed-out")) - acknowledged
            assert last <= BOUND, f"{name} went on {last:.2f} s after the acknowledgement"
        why = {name: told.events[-1]["why"] for name, told in clients.told.items()}
        assert why["near"] == why["slow"] == "verification.not_approved"
        assert why["far"] == "verification.status_list"

    def test_would_not_hold_without_the_last_check(self, clients: Clients) -> None:
        acknowledged = revoke_in_the_middle(clients, "--unchecked")
        assert max(clients.told["slow"].times("handed-out")) > acknowledged + BOUND
