"""Personal records in the database: a column type whose values lie there as ciphertext and are read as they were.

    content: Mapped[bytes] = mapped_column(SealedRecord())

Each value has a data key of its own, wrapped like those of versions (`registry.vault`): a dump of the database opens
nothing, and erasing a record is destroying its key. Whoever reads an erased one gets `ERASED`, never an old value.
Values from before are read as they are; `imprimatur registry seal` seals them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from registry.sealing import KeyWrapper, WrappedKey, new_key, seal, unseal
from sdk.errors import Erased, ServiceError

ERASED: Final = b""
"""What a record reads as once it is erased; no record is empty."""
_MARK: Final = b"\x00sealed record 1\n"  # no JSON begins so
_KEY_ID_CHARACTERS: Final = 64
_ABOUT: Final = b"personal record"
_wrapper: ContextVar[KeyWrapper | None] = ContextVar("wrapper of personal records", default=None)


class SealedRecord(TypeDecorator[bytes]):
    """`bytea` that holds a sealed record; see the module docstring."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else seal_record(value, _current())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else open_record(value, _current())


@contextmanager
def sealed_by(wrapper: KeyWrapper) -> Iterator[None]:
    """Read and write personal records with this wrapper while the block runs."""
    token = _wrapper.set(wrapper)
    try:
        yield
    finally:
        _wrapper.reset(token)


def seal_record(content: bytes, wrapper: KeyWrapper) -> bytes:
    """A record as it lies in the database, its wrapped key with it."""
    data_key = new_key()
    key = wrapper.wrap(data_key, _ABOUT)
    length = len(key.wrapped).to_bytes(2, "big")
    return _MARK + key.wrapped_by.encode() + length + key.wrapped + seal(content, data_key, _ABOUT)


def open_record(stored: bytes, wrapper: KeyWrapper) -> bytes:
    """The record, or `ERASED`. Raises `ServiceError` when it was damaged or exchanged."""
    if not is_sealed(stored):
        return stored
    key, sealed = _parts(stored)
    try:
        return unseal(sealed, wrapper.unwrap(key, _ABOUT), _ABOUT)
    except Erased:
        return ERASED


def is_sealed(stored: bytes) -> bool:
    """Whether this is a sealed record, and not one from before there were any."""
    return stored.startswith(_MARK)


def wrapped_key_of(stored: bytes) -> WrappedKey:
    """The wrapped key that a sealed record carries."""
    return _parts(stored)[0]


def _parts(stored: bytes) -> tuple[WrappedKey, bytes]:
    start = len(_MARK)
    by, rest = stored[start : start + _KEY_ID_CHARACTERS], stored[start + _KEY_ID_CHARACTERS :]
    end = 2 + int.from_bytes(rest[:2], "big")
    return WrappedKey(wrapped=rest[2:end], wrapped_by=by.decode("ascii", "replace")), rest[end:]


def _current() -> KeyWrapper:
    wrapper = _wrapper.get()
    if wrapper is None:
        raise ServiceError("personal records are read in a transaction of the runtime, or under `sealed_by`")
    return wrapper
