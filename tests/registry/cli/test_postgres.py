"""The embedded server: starts again whatever was left behind, is nobody else's, and says why when it cannot."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from registry.cli import postgres
from sdk.errors import ConfigurationError


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        data = Path(name) / "data"
        yield data
        postgres.stop(data)


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestStart:
    def test_is_safe_to_repeat(self, data: Path) -> None:
        url = postgres.start(data)
        server = postgres.running(data)
        assert postgres.start(data) == url
        assert answers(url)
        assert postgres.running(data) == server

    def test_takes_a_killed_server_up_again_with_what_was_committed(self, data: Path) -> None:
        with psycopg.connect(postgres.start(data)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        server = postgres.running(data)
        assert server is not None
        server.send_signal(signal.SIGKILL)
        server.wait(10)
        assert postgres.running(data) is None
        with psycopg.connect(postgres.start(data)) as connection:
            assert connection.execute("SELECT count(*) > 0 FROM kept").fetchone() == (True,)

    @pytest.mark.parametrize("content", ["{pid}\n{data}\n1\n5432\n{data}\n\n 1 1\nready\n", "{pid}\n", "", "garbage\n"])
    def test_is_not_misled_by_the_pid_file_of_another_time(self, data: Path, content: str) -> None:
        postgres.start(data)
        postgres.stop(data)
        (data / "postmaster.pid").write_text(content.format(pid=os.getpid(), data=data))
        assert postgres.running(data) is None
        assert answers(postgres.start(data))

    def test_waits_for_a_server_that_recovers_for_long(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        url, pid_file = postgres.start(data), data / "postmaster.pid"
        ready = pid_file.read_bytes()
        pid_file.write_bytes(ready.replace(b"ready   ", b"starting"))
        assert pid_file.read_bytes() != ready
        waits = iter([None] * 5)

        def sleep(seconds: float) -> None:
            if next(waits, "over") == "over":
                pid_file.write_bytes(ready)

        monkeypatch.setattr(postgres.time, "sleep", sleep)
        assert postgres.start(data) == url

    def test_keeps_the_socket_to_the_servers_own_user(self, data: Path) -> None:
        postgres.start(data)
        assert mode(data / ".s.PGSQL.5432") == 0o700

    def test_works_below_a_folder_whose_name_fits_in_no_socket_address(self, data: Path) -> None:
        deep = data.parent / ("d" * 60) / ("e" * 60)
        deep.mkdir(parents=True)
        for folder in (deep, deep.parent):
            folder.chmod(0o711)
        try:
            url = postgres.start(deep / "data")
            assert answers(url)
            socket = Path(url.rpartition("host=")[2]) / ".s.PGSQL.5432"
            assert not socket.is_relative_to(deep)
            assert mode(socket) == 0o700
        finally:
            postgres.stop(deep / "data")

    def test_opens_folders_above_for_passing_and_for_nothing_else(self, data: Path) -> None:
        above = data.parent / "above"
        above.mkdir(mode=0o700)
        try:
            postgres.start(above / "data")
            assert mode(above) == (0o711 if os.geteuid() == 0 else 0o700)
        finally:
            postgres.stop(above / "data")

    def test_says_what_the_server_said_when_it_cannot_start(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        postgres.start(data)
        postgres.stop(data)
        monkeypatch.setattr(postgres, "_ATTEMPTS", 1)
        config = data / "postgresql.conf"
        good = config.read_text()
        config.write_text(good + "\nno_such_setting = on\n")
        try:
            with pytest.raises(ConfigurationError, match="configuration file"):
                postgres.start(data)
        finally:
            config.write_text(good)
        assert answers(postgres.start(data))

    @pytest.mark.parametrize("name", ["a b", "a'b", "a$b", "a;b", "a(b"])
    def test_refuses_a_path_that_a_shell_would_read(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="its path contains"):
            postgres.start(Path("/tmp") / name / "data")
        assert not (Path("/tmp") / name).exists()

    def test_takes_letters_of_every_script(self) -> None:
        postgres.require_plain_path(Path("/srv/工房/café-1"))


class TestStop:
    def test_is_safe_to_repeat_and_on_nothing(self, data: Path) -> None:
        postgres.start(data)
        for _ in range(2):
            postgres.stop(data)
            assert postgres.running(data) is None
        postgres.stop(data.parent / "nothing")

    def test_leaves_another_process_with_that_number_alone(self, data: Path) -> None:
        postgres.start(data)
        postgres.stop(data)
        (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n{data}\n\n 1 1\nready\n")
        postgres.stop(data)  # this very process is still here to say so
        (data / "postmaster.pid").unlink()
