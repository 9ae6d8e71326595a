"""Folders that are held alone, and files that are replaced whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdk.errors import ConfigurationError
from sdk.local_files import keep_file, locked, read_file, replace_file

COUNT = """
import sys
from pathlib import Path
from sdk.local_files import locked

folder = Path(sys.argv[1])
for _ in range(200):
    with locked(folder):
        counted = folder / "counted"
        counted.write_text(str(int(counted.read_text()) + 1))
"""


FORK = """
import os, signal, sys
from pathlib import Path
from sdk.local_files import locked

with locked(Path(sys.argv[1])):
    child = os.fork()
    if not child:
        signal.pause()
try:
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(20)
    with locked(Path(sys.argv[1])):
        pass
finally:
    os.kill(child, signal.SIGKILL)
"""


def run(program: str, folder: Path) -> None:
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True, cwd=Path(__file__).parents[2])


class TestLocked:
    def test_processes_take_turns(self, tmp_path: Path) -> None:
        (tmp_path / "counted").write_text("0")
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(run, [COUNT] * 3, [tmp_path] * 3))
        assert (tmp_path / "counted").read_text() == "600"

    def test_threads_take_turns(self, tmp_path: Path) -> None:
        inside = list[int]()

        def enter(_: int) -> int:
            with locked(tmp_path):
                inside.append(1)
                found = len(inside)
                (tmp_path / "time").write_text("passes")
                inside.pop()
            return found

        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(enter, range(400))) == {1}

    def test_makes_the_folder_for_its_owner_alone(self, tmp_path: Path) -> None:
        with locked(tmp_path / "new"):
            assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700

    def test_is_free_again_after_an_error(self, tmp_path: Path) -> None:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), locked(tmp_path):
                _ = 1 // 0

    def test_a_child_that_lives_on_does_not_hold_it(self, tmp_path: Path) -> None:
        run(FORK, tmp_path)

    def test_names_a_folder_that_cannot_be_one(self, tmp_path: Path) -> None:
        (tmp_path / "way").write_text("a file in the way")
        with pytest.raises(ConfigurationError, match=r"way/\.lock: .*; make the folder one"), locked(tmp_path / "way"):
            pass


class TestKeepFile:
    def test_reads_what_was_written_last(self, tmp_path: Path) -> None:
        path = tmp_path / "made" / "kept"
        assert read_file(path) is None
        for content in (b"one", b"two"):
            keep_file(path, content)
            assert read_file(path) == content

    def test_flushes_to_disk_before_the_file_has_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, seen = tmp_path / "kept", list[tuple[int, bytes | None]]()
        keep_file(path, b"one")
        flush = os.fsync

        def watched(file: int) -> None:
            flush(file)
            seen.append((os.fstat(file).st_size, read_file(path)))

        monkeypatch.setattr(os, "fsync", watched)
        keep_file(path, b"three")
        assert seen == [(5, b"one")]

    def test_leaves_the_old_file_alone_when_the_disk_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "kept"
        keep_file(path, b"one")

        def fail(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(ConfigurationError, match="kept: No space left"):
            keep_file(path, b"two")
        assert [found.name for found in tmp_path.iterdir()] == ["kept"]
        assert read_file(path) == b"one"


class TestReplaceFile:
    def test_has_the_mode_that_is_asked_for(self, tmp_path: Path) -> None:
        for mode in (0o600, 0o644):
            replace_file(tmp_path / "kept", b"one", mode=mode)
            assert (tmp_path / "kept").stat().st_mode & 0o777 == mode

    def test_waits_for_the_name_where_it_is_asked_to(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed: list[bool] = []
        monkeypatch.setattr(os, "fsync", lambda file: flushed.append(stat.S_ISDIR(os.fstat(file).st_mode)))
        replace_file(tmp_path / "kept", b"one")
        assert flushed == [False]
        replace_file(tmp_path / "kept", b"two", wait_for_rename=True)
        assert flushed == [False, False, True]
