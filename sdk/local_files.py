"""Files replaced whole, and folders in which a client keeps things: one holder at a time, among threads and processes.

The lock is the file `.lock` in the folder. It goes with whoever holds it: a process that ends leaves the folder free.
What is kept there, and what must hold of it, is its owner's to know.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from sdk.errors import ConfigurationError

_LOCK_NAME: Final = ".lock"
_threads: dict[tuple[int, Path], threading.Lock] = {}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait for the folder, which is made if it is missing, and hold it alone; whoever holds it must not ask again.

    Raises:
        ConfigurationError: it cannot be made or locked.
    """
    held = os.getpid(), folder.absolute()  # a child process has threads of its own
    with _threads.setdefault(held, threading.Lock()), _lock_file(folder) as file:
        try:
            yield
        finally:
            _release(file)  # closing is not enough: a child process may have inherited the file


def read_file(path: Path) -> bytes | None:
    """What is kept there; none when there is no such file. Raises `ConfigurationError` when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ConfigurationError(f"the local store cannot be read at {path}: {exc.strerror}") from exc


def keep_file(path: Path, content: bytes) -> None:
    """Replace a file of the local store, whose folder is made if it is missing.

    The rename itself is not waited for: that would cost each compose call two more waits, and an old checkpoint is still a
    true one.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, content)
    except OSError as exc:
        raise ConfigurationError(f"the local store cannot be written at {path}: {exc.strerror}") from exc


def replace_file(path: Path, content: bytes, *, mode: int = 0o600, wait_for_rename: bool = False) -> None:
    """Write beside, flush to disk and rename: a reader, also after a power cut, meets the old file or the new one, whole.

    With `wait_for_rename` a power cut after the return leaves the new one. Raises `OSError`.
    """
    handle, beside = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(mode)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    if wait_for_rename:
        flush_folder(path.parent)


def make_folder(folder: Path, *, mode: int = 0o700) -> None:
    """Make a folder that may be there already, and those above it; a power cut after the return leaves it. Raises `OSError`."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode=mode)
    folder.mkdir(mode=mode, exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Return when the names in a folder, made, changed or gone, are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lock_file(folder: Path) -> BinaryIO:
    path = folder / _LOCK_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("ab")
        try:
            _acquire(file)
        except BaseException:
            file.close()
            raise
    except OSError as exc:
        raise ConfigurationError(
            f"the local store cannot be written or locked at {path}: {exc.strerror}; "
            "make the folder one that this account may write to"
        ) from exc
    return file


if sys.platform == "win32":
    import msvcrt

    def _acquire(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)

    def _release(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _acquire(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _release(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
