"""`up` and `down` with the real processes: what is up stays up, what was killed is mended, what ended is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import psutil
import pytest
from support.processes import eventually, free_address

from registry.cli import postgres, process, supervisor
from registry.cli.init import Plan, create_workspace
from registry.cli.process import command_line, start_child
from registry.cli.workspace import Workspace
from sdk.client import Client
from sdk.errors import ConfigurationError, ServiceUnavailable
from sdk.profile import load_profile
from sdk.spec.ids import TenantName

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        plan = Plan(tenant=TenantName("demo"), registry=free_address(), trainer=free_address())
        made = create_workspace(Path(name) / "ws", plan)
        yield made
        supervisor.down(made, quiet)


@pytest.fixture
def up(workspace: Workspace) -> Workspace:
    if supervisor.running_pid(workspace) is None:
        supervisor.up_detached(workspace, quiet)
    return workspace


def quiet(text: str) -> None:
    """Says nothing."""


def whoami(workspace: Workspace) -> str:
    profile = load_profile(workspace.profile("app"))
    with Client(profile.registry, profile.credential) as client:
        return client.whoami().principal


def children_of(workspace: Workspace) -> list[psutil.Process]:
    pid = supervisor.running_pid(workspace)
    assert pid is not None
    return psutil.Process(pid).children()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


class TestUp:
    def test_brings_up_both_services_and_both_workers(self, up: Workspace) -> None:
        assert whoami(up) == "demo/app"
        trainer = load_profile(up.profile("app")).trainer
        assert httpx.get(f"{trainer}/healthz").json()["service"] == "trainer"
        assert sorted(" ".join(child.cmdline()[-3:-1]) for child in children_of(up)) == [
            "registry deliver",
            "registry serve",
            "trainer serve",
            "trainer worker",
        ]

    def test_delivers_webhooks_with_a_key_of_its_own(self, up: Workspace) -> None:
        log = up.logs / "webhooks.log"
        assert eventually(lambda: "Starting worker" in log.read_text())
        # The log may tell of a database that another test killed.
        assert eventually(lambda: any("deliver" in child.cmdline() for child in children_of(up)))
        assert (up.root / "keys" / "webhook.pem").stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("start", [supervisor.up, supervisor.up_detached])
    def test_twice_is_refused(self, up: Workspace, start: Callable[[Workspace, Callable[[str], None]], None]) -> None:
        with pytest.raises(ConfigurationError, match=r"is up already, process \d+"):
            start(up, quiet)
        assert whoami(up) == "demo/app"

    def test_starts_a_killed_database_again(self, up: Workspace) -> None:
        server = postgres.running(up.database)
        assert server is not None
        server.kill()

        def answers() -> bool:
            try:
                return whoami(up) == "demo/app"
            except ServiceUnavailable:
                return False

        assert eventually(lambda: postgres.running(up.database) not in (None, server))
        assert eventually(answers)

    def test_logs_no_credential(self, up: Workspace) -> None:
        whoami(up)
        written = "".join(path.read_text() for path in up.logs.glob("*.log"))
        assert "/v1/whoami" in written
        assert "imp_" not in written
        assert (up.logs.stat().st_mode & 0o077) == 0

    def test_killed_takes_its_children_with_it_and_down_stops_the_rest(self, up: Workspace) -> None:
        pid = supervisor.running_pid(up)
        assert pid is not None
        children = children_of(up)
        assert len(children) == 4
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: gone(children))
        assert postgres.running(up.database) is not None
        supervisor.down(up, quiet)
        assert postgres.running(up.database) is None

    def test_ends_everything_on_ctrl_c(self, workspace: Workspace) -> None:
        supervisor.down(workspace, quiet)
        with subprocess.Popen(command_line("up", str(workspace.root)), stdout=subprocess.PIPE, text=True) as started:
            assert started.stdout is not None
            assert any(line.startswith("up: ") for line in started.stdout)
            children = psutil.Process(started.pid).children()
            started.send_signal(signal.SIGINT)
            assert started.wait(60) == 0
        assert gone(children)
        assert postgres.running(workspace.database) is None
        assert not workspace.database_url.exists()
        assert supervisor.running_pid(workspace) is None

    def test_says_which_port_is_taken_before_it_starts_anything(self, workspace: Workspace) -> None:
        supervisor.down(workspace, quiet)
        address = supervisor.trainer_address(workspace)
        with socket.socket() as taken:
            taken.bind((address.host, address.port))
            taken.listen()
            for start in (supervisor.up, supervisor.up_detached):
                with pytest.raises(ConfigurationError, match=rf"port {address.port} on 127.0.0.1 is in use; stop what"):
                    start(workspace, quiet)
        assert postgres.running(workspace.database) is None

    def test_is_not_misled_by_a_pid_file_that_was_left_behind(self, workspace: Workspace) -> None:
        supervisor.down(workspace, quiet)
        workspace.pid.write_text(str(os.getpid()))
        assert supervisor.running_pid(workspace) is None


class TestDown:
    def test_of_what_is_not_up_does_nothing(self, workspace: Workspace) -> None:
        supervisor.down(workspace, quiet)
        said: list[str] = []
        supervisor.down(workspace, said.append)
        assert said == ["nothing was running"]


class TestWatch:
    SERVICES = supervisor._Services(registry=free_address(), trainer=free_address(), database_url="postgresql://given")

    def test_starts_a_child_again_that_had_lived_and_gives_up_on_one_that_had_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code = (
            "import sys, time; from pathlib import Path; seen = Path(sys.argv[1]); first = not seen.exists()\n"
            "seen.touch(); time.sleep(0.6 if first else 0); print('no more'); sys.exit(4)"
        )
        monkeypatch.setattr(process, "command_line", lambda *arguments: [sys.executable, "-c", code, *arguments])
        monkeypatch.setattr(supervisor, "SHORT_LIFE_SECONDS", 0.5)
        monkeypatch.setattr(supervisor, "_WATCH_SECONDS", 0.1)
        children = [start_child("trainer", str(tmp_path / "seen"), log=tmp_path / "log")]
        said: list[str] = []
        with pytest.raises(
            ConfigurationError, match=r"the trainer ended with status 4; the end of .*\nno more\nno more"
        ):
            supervisor._watch(Workspace(tmp_path), self.SERVICES, children, said.append)
        assert said == ["the trainer ended with status 4; starting it again"]

    def test_a_worker_that_keeps_dying_takes_nobody_with_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        died = {"worker": "pass", "registry": "import time; time.sleep(60)"}
        monkeypatch.setattr(process, "command_line", lambda name: [sys.executable, "-c", died[name]])
        monkeypatch.setattr(supervisor, "SHORT_LIFE_SECONDS", 0.2)
        monkeypatch.setattr(supervisor, "_WATCH_SECONDS", 0.05)
        children = [start_child(name, name, log=tmp_path / name) for name in ("registry", "worker")]
        starts = [time.monotonic()]

        def say(text: str) -> None:
            assert text == "the worker ended with status 0; starting it again"
            starts.append(time.monotonic())
            if len(starts) == 4:
                raise KeyboardInterrupt

        try:
            with pytest.raises(KeyboardInterrupt):
                supervisor._watch(Workspace(tmp_path), self.SERVICES, children, say)
            assert not children[0].ended
            waits = [later - earlier for earlier, later in pairwise(starts)]
            assert waits[0] >= 0.2
            assert waits[1] >= 0.4
            assert waits[2] >= 0.8
        finally:
            process.stop_children(children)
