"""Child processes: their output is kept, they end when asked, when killed if need be, and when their parent dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from registry.cli import process
from registry.cli.process import start_child, stop_children, tail


def wait_until(condition: object, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.05)
    return bool(met)


def running(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(process, "command_line", lambda *arguments: [sys.executable, "-c", code, *arguments])


class TestChild:
    def test_is_the_one_command_of_this_installation(self, tmp_path: Path) -> None:
        child = start_child("help", "registry", "serve", "--help", log=tmp_path / "log")
        assert child.process.wait(60) == 0
        assert "Serve the registry alone" in (tmp_path / "log").read_text()

    def test_leaves_its_last_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        running(monkeypatch, "print('one\\ntwo\\nthree'); raise SystemExit(3)")
        child = start_child("child", log=tmp_path / "log")
        assert child.process.wait(20) == 3
        assert child.ended
        assert child.last_words(2) == "two\nthree"
        assert tail(tmp_path / "nothing", 5) == ""

    def test_is_asked_to_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        running(monkeypatch, "import time; time.sleep(60)")
        child = start_child("child", log=tmp_path / "log")
        stop_children([child])
        assert child.process.returncode == -signal.SIGTERM
        stop_children([child])

    def test_is_killed_when_it_does_not_listen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "STOP_SECONDS", 0.5)
        running(
            monkeypatch,
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
        )
        child = start_child("child", log=tmp_path / "log")
        assert wait_until(lambda: child.last_words())
        stop_children([child])
        assert child.process.returncode == -signal.SIGKILL

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
    def test_dies_with_its_parent_even_when_that_is_killed(self, tmp_path: Path) -> None:
        code = (
            "import sys, time; from pathlib import Path; from registry.cli import process\n"
            "process.command_line = lambda: [sys.executable, '-c', 'import time; time.sleep(60)']\n"
            "print(process.start_child('child', log=Path(sys.argv[1])).process.pid, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout is not None
            child = psutil.Process(int(parent.stdout.readline()))
            assert child.is_running()
            parent.kill()
        assert wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
