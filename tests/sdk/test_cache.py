"""What a client remembers of a log, and that it notices when the log says otherwise."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.governed import NOW, ORIGIN, fixed_signer, make_trust_root
from support.memory_log import MemoryLog

from sdk.cache import FileLogMemory, LogMemory, LogWatch, RegistryMemory, StatusWatch
from sdk.errors import ConfigurationError, LogForked, ProofInvalid, SignatureInvalid, StatusListInvalid
from sdk.spec.log_entry import AuditEventType, ConsistencyProof
from sdk.spec.status_list import StatusList


def make_log(*subjects: str) -> MemoryLog:
    log = MemoryLog(ORIGIN, fixed_signer("log"), NOW)
    for subject in subjects:
        log.append(AuditEventType.CONCEPT_CREATED, subject)
    return log


def watch(log: MemoryLog, memory: LogMemory) -> LogWatch:
    return LogWatch(memory, make_trust_root(), log.consistency)


@pytest.fixture
def memory(tmp_path: Path) -> RegistryMemory:
    return FileLogMemory(tmp_path / "seen")


class Crossed(FileLogMemory):
    """Just when something is about to be kept, another thread comes to keep something, and goes on as soon as it may."""

    def __init__(self, folder: Path, other: Callable[[], object]) -> None:
        super().__init__(folder)
        self.thread = Thread(target=other)

    def remember(self, origin: str, note: bytes) -> None:
        self.let_in()
        super().remember(origin, note)

    def remember_status(self, list_id: str, at: datetime) -> None:
        self.let_in()
        super().remember_status(list_id, at)

    def let_in(self) -> None:
        self.thread.start()
        self.thread.join(0.2)  # it is still waiting then, or has done it


class TestMemory:
    def test_knows_nothing_at_first(self, memory: LogMemory) -> None:
        assert memory.first("a") is memory.newest("a") is None

    def test_keeps_the_first_and_the_newest(self, memory: LogMemory) -> None:
        for note in (b"1", b"2", b"3"):
            memory.remember("a", note)
        assert (memory.first("a"), memory.newest("a")) == (b"1", b"3")

    def test_keeps_logs_apart(self, memory: LogMemory) -> None:
        memory.remember("a", b"1")
        assert memory.newest("b") is None

    def test_file_memory_survives_the_process(self, tmp_path: Path) -> None:
        FileLogMemory(tmp_path).remember("a/../b é", b"1")
        assert FileLogMemory(tmp_path).newest("a/../b é") == b"1"

    def test_says_where_it_cannot_write(self, tmp_path: Path) -> None:
        (tmp_path / "seen").write_text("a file in the way")
        with pytest.raises(ConfigurationError, match="cannot be"):
            FileLogMemory(tmp_path / "seen").remember("a", b"1")


class TestWatch:
    def test_uses_the_proof_that_came_with_the_note_if_it_is_the_one_needed(self, memory: LogMemory) -> None:
        log, asked = make_log("a", "b"), list[tuple[int, int]]()

        def prove(old: int, new: int) -> list[bytes]:
            asked.append((old, new))
            return log.consistency(old, new)

        watched = LogWatch(memory, make_trust_root(), prove)
        watched.see(log.note())
        log.append(AuditEventType.CONCEPT_CREATED, "c")
        assert watched.size == 2
        told = ConsistencyProof(old_size=2, new_size=3, hashes=tuple(log.consistency(2, 3)))
        watched.see(log.note(), told)
        assert (asked, watched.size) == ([], 3)
        log.append(AuditEventType.CONCEPT_CREATED, "d")
        watched.see(log.note(), told)
        assert asked == [(3, 4)]

    def test_a_proof_that_came_with_the_note_is_not_believed(self, memory: LogMemory) -> None:
        log, other = make_log("a", "b"), make_log("a", "x", "c")
        watched = watch(log, memory)
        watched.see(log.note())
        told = ConsistencyProof(old_size=2, new_size=3, hashes=tuple(other.consistency(2, 3)))
        with pytest.raises(LogForked):
            watched.see(other.note(), told)

    def test_remembers_the_first_checkpoint(self, memory: LogMemory) -> None:
        log = make_log("a")
        assert watch(log, memory).see(log.note()).tree_size == 1
        assert memory.newest(ORIGIN) == log.note()

    def test_accepts_growth_and_moves_on(self, memory: LogMemory) -> None:
        log = make_log("a", "b", "c", "d", "e")
        for size in (1, 3, 3, 5):
            watch(log, memory).see(log.note(size))
        assert memory.first(ORIGIN) == log.note(1)
        assert memory.newest(ORIGIN) == log.note(5)

    def test_accepts_a_slower_answer_without_going_back(self, memory: LogMemory) -> None:
        log = make_log("a", "b", "c")
        watch(log, memory).see(log.note())
        assert watch(log, memory).see(log.note(2)).tree_size == 2
        assert memory.newest(ORIGIN) == log.note(3)

    @pytest.mark.parametrize("other", [("x",), ("a", "x"), ("x", "b", "c"), ("x", "b", "c", "d")])
    def test_notices_rewritten_history(self, memory: LogMemory, other: tuple[str, ...]) -> None:
        log, forked = make_log("a", "b", "c"), make_log(*other)
        watch(log, memory).see(log.note())
        longest = max(log, forked, key=lambda each: len(each.contents))
        with pytest.raises(LogForked, match="rewritten"):
            watch(longest, memory).see(forked.note())
        assert memory.newest(ORIGIN) == log.note()

    def test_notices_a_proof_that_proves_nothing(self, memory: LogMemory) -> None:
        log = make_log("a", "b", "c")
        watch(log, memory).see(log.note(2))
        with pytest.raises(LogForked):
            LogWatch(memory, make_trust_root(), lambda old, new: []).see(log.note())

    def test_refuses_a_note_that_the_log_did_not_sign(self, memory: LogMemory) -> None:
        log = make_log("a")
        log.signer = fixed_signer("app")
        with pytest.raises(SignatureInvalid):
            watch(log, memory).see(log.note())
        assert memory.newest(ORIGIN) is None

    def test_refuses_a_note_of_another_log(self, memory: LogMemory) -> None:
        log = MemoryLog("log.other/x", fixed_signer("log"), NOW)
        with pytest.raises(ProofInvalid):
            watch(log, memory).see(log.note())


class TestTogether:
    """Threads and processes that share one memory."""

    def test_a_proof_that_comes_late_undoes_nothing_that_was_seen_meanwhile(self, memory: LogMemory) -> None:
        log, asked = make_log("a", "b", "c", "d", "e"), list[tuple[int, int]]()
        watch(log, memory).see(log.note(2))

        def prove(old: int, new: int) -> list[bytes]:
            if not asked:
                watch(log, memory).see(log.note(5))
            asked.append((old, new))
            return log.consistency(old, new)

        assert LogWatch(memory, make_trust_root(), prove).see(log.note(3)).tree_size == 3
        assert asked == [(2, 3), (3, 5)]
        assert memory.newest(ORIGIN) == log.note(5)
        fork = make_log("a", "b", "c", "d", "x", "f")
        with pytest.raises(LogForked):
            watch(fork, memory).see(fork.note())

    def test_a_fork_of_what_was_seen_meanwhile_is_noticed_though_it_is_proven_from_before(
        self, memory: LogMemory
    ) -> None:
        log, fork = make_log("a", "b", "c", "d"), make_log("a", "b", "x", "y", "z")
        watch(log, memory).see(log.note(2))

        def prove(old: int, new: int) -> list[bytes]:
            watch(log, memory).see(log.note(4))
            return fork.consistency(old, new)

        with pytest.raises(LogForked):
            LogWatch(memory, make_trust_root(), prove).see(fork.note())
        assert memory.newest(ORIGIN) == log.note(4)

    @pytest.mark.parametrize("before", [None, 2])
    def test_nobody_remembers_between_comparing_and_writing(self, tmp_path: Path, before: int | None) -> None:
        log = make_log("a", "b", "c", "d", "e")
        memory = Crossed(tmp_path, lambda: watch(log, FileLogMemory(tmp_path)).see(log.note(5)))
        if before:
            watch(log, FileLogMemory(tmp_path)).see(log.note(before))
        watch(log, memory).see(log.note(3))
        memory.thread.join()
        assert memory.newest(ORIGIN) == log.note(5)

    def test_many_leave_the_largest(self, memory: LogMemory) -> None:
        log = make_log(*"abcdefghijklmnop")
        sizes = [*range(1, 17)] * 4
        random.Random(1).shuffle(sizes)
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda size: watch(log, memory).see(log.note(size)).tree_size, sizes)) == sizes
        assert memory.newest(ORIGIN) == log.note(16)

    def test_what_is_known_is_not_written_again(self, tmp_path: Path) -> None:
        log, status = make_log("a", "b"), TestStatusWatch().listed(0)

        def files() -> dict[str, Any]:
            return {path.name: path.stat().st_ino for path in tmp_path.glob("*.note")}

        watch(log, FileLogMemory(tmp_path)).see(log.note())
        StatusWatch(FileLogMemory(tmp_path)).see(status)
        before = files()
        for size in (2, 1):
            watch(log, FileLogMemory(tmp_path)).see(log.note(size))
        StatusWatch(FileLogMemory(tmp_path)).see(status)
        assert len(before) == 3
        assert files() == before


class TestDamaged:
    """What cannot be read was not simply never seen."""

    @pytest.mark.parametrize(
        "content", [b"", b"log.test/x\n", b"\xff", MemoryLog("log.other/x", fixed_signer("log"), NOW).note()]
    )
    def test_newest_note_is_an_error_that_names_the_file_and_the_mend(self, tmp_path: Path, content: bytes) -> None:
        log = make_log("a", "b")
        watched = watch(log, FileLogMemory(tmp_path))
        watched.see(log.note(1))
        (path,) = tmp_path.glob("*.newest.note")
        path.write_bytes(content)
        for act in (lambda: watched.see(log.note()), lambda: watched.size, lambda: watched.notes):
            with pytest.raises(ConfigurationError, match=rf"{path.name} holds no checkpoint.*restore .*{path.name}"):
                act()
        assert path.read_bytes() == content

    def test_first_note_is_one_too_where_it_is_used(self, tmp_path: Path) -> None:
        log = make_log("a", "b")
        watched = watch(log, FileLogMemory(tmp_path))
        for size in (1, 2):
            watched.see(log.note(size))
        assert watched.notes == (log.note(1), log.note(2))
        (path,) = tmp_path.glob("*.first.note")
        path.write_bytes(b"")
        with pytest.raises(ConfigurationError, match=path.name):
            _ = watched.notes

    def test_a_note_that_no_longer_verifies_is_named(self, tmp_path: Path) -> None:
        log, other = make_log("a", "b"), make_log("a")
        other.signer = fixed_signer("app")
        watched = watch(log, FileLogMemory(tmp_path))
        FileLogMemory(tmp_path).remember(ORIGIN, other.note())
        with pytest.raises(SignatureInvalid, match=r"newest\.note holds a checkpoint .* does not verify"):
            watched.see(log.note())
        assert FileLogMemory(tmp_path).newest(ORIGIN) == other.note()


class TestStatusWatch:
    def listed(self, seconds: int) -> StatusList:
        at = NOW + timedelta(seconds=seconds)
        return StatusList(id="urn:a", valid_from=at, valid_until=at + timedelta(minutes=1), bits=b"")

    def test_accepts_the_same_and_newer_lists(self, memory: RegistryMemory) -> None:
        for seconds in (0, 0, 1, 30):
            StatusWatch(memory).see(self.listed(seconds))
        assert memory.newest_status("urn:a") == NOW + timedelta(seconds=30)

    def test_rejects_a_list_older_than_one_that_was_seen(self, memory: RegistryMemory) -> None:
        StatusWatch(memory).see(self.listed(10))
        with pytest.raises(StatusListInvalid, match="somebody shows an old one"):
            StatusWatch(memory).see(self.listed(9))

    def test_keeps_lists_apart(self, memory: RegistryMemory) -> None:
        memory.remember_status("urn:b", NOW + timedelta(days=1))
        StatusWatch(memory).see(self.listed(0))

    def test_a_list_that_another_thread_sees_meanwhile_is_not_forgotten(self, tmp_path: Path) -> None:
        memory = Crossed(tmp_path, lambda: StatusWatch(FileLogMemory(tmp_path)).see(self.listed(9)))
        StatusWatch(memory).see(self.listed(1))
        memory.thread.join()
        with pytest.raises(StatusListInvalid, match="somebody shows an old one"):
            StatusWatch(memory).see(self.listed(5))

    @pytest.mark.parametrize("damaged", ["", "yesterday", "2026-07-28", "2026-07-28T12:00:00"])
    def test_fails_closed_on_a_memory_that_was_damaged(self, tmp_path: Path, damaged: str) -> None:
        FileLogMemory(tmp_path).remember_status("urn:a", NOW)
        (path,) = tmp_path.iterdir()
        path.write_text(damaged)
        with pytest.raises(ConfigurationError, match="holds no moment"):
            StatusWatch(FileLogMemory(tmp_path)).see(self.listed(1))
