"""Sealing bytes at rest: AES-256-GCM under a data key, and the data key wrapped by a key-encryption key (KEK).

Nothing here knows what is sealed, or who may open it: that is `registry.blobs` for uploads and `registry.versions.sealed`
for the artefacts of versions.

Sealed form (NIST SP 800-38D): 12 random bytes of nonce, the ciphertext, 16 bytes of tag. `about` is authenticated with
it, so that nothing sealed can stand in for something else. A data key seals far fewer than 2^32 contents.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sdk.errors import ConfigurationError, ServiceError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
KEY_ID_DOMAIN: Final = b"imprimatur key-encryption key\n"


@dataclass(frozen=True, kw_only=True)
class WrappedKey:
    """A data key as it is stored, and the id of the key-encryption key that it needs."""

    wrapped: bytes = field(repr=False)
    wrapped_by: str


class KeyWrapper(Protocol):
    """Wraps data keys with a key-encryption key, wherever that lives."""

    def wrap(self, data_key: bytes, about: bytes) -> WrappedKey:
        """`data_key` as it may be stored, bound to what it is `about`."""

    def unwrap(self, key: WrappedKey, about: bytes) -> bytes:
        """The data key.

        Raises:
            ServiceError: it was wrapped by another key-encryption key, or is about something else.
        """


class NamedKeyWrapper(KeyWrapper, Protocol):
    """A `KeyWrapper` over one key-encryption key."""

    @property
    def keyid(self) -> str:
        """The public name of the key-encryption key: what its wrapped keys carry as `wrapped_by`."""


class AesKeyWrapper:
    """A `KeyWrapper` over 32 bytes that `read_key` gives anew each time, so that a rotation counts at once."""

    def __init__(self, read_key: Callable[[], bytes]) -> None:
        self._read_key = read_key

    @property
    def keyid(self) -> str:
        return key_id(self._read_key())

    def wrap(self, data_key: bytes, about: bytes) -> WrappedKey:
        key = self._read_key()
        return WrappedKey(wrapped=seal(data_key, key, about), wrapped_by=key_id(key))

    def unwrap(self, key: WrappedKey, about: bytes) -> bytes:
        held = self._read_key()
        if key.wrapped_by != key_id(held):
            raise ServiceError(
                f"a data key is wrapped by key-encryption key {key.wrapped_by[:12]}, but {key_id(held)[:12]} is here; "
                "run 'imprimatur registry rewrap' for the new one, or put the setting or the file right"
            )
        return unseal(key.wrapped, held, about)


def file_key_wrapper(path: Path) -> AesKeyWrapper:
    """A `KeyWrapper` over the key file at `path`. Raises `ConfigurationError` like `read_key_file`."""
    read_key_file(path)
    return AesKeyWrapper(partial(read_key_file, path))


def new_key() -> bytes:
    """A new random key."""
    return AESGCM.generate_key(bit_length=8 * KEY_BYTES)


def key_id(key: bytes) -> str:
    """The public name of a key-encryption key."""
    return hashlib.sha256(KEY_ID_DOMAIN + key).hexdigest()


def write_key_file(path: Path) -> None:
    """Make a new key-encryption key at `path` with mode 0600. Raises `ConfigurationError` if a file is there, or none can be."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise ConfigurationError(f"a key already exists at {path}; it is never overwritten") from exc
    except OSError as exc:
        raise ConfigurationError(f"no key can be written to {path}: {exc.strerror}") from exc
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(new_key().hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_key_file(path: Path) -> bytes:
    """The key in the file at `path`. Raises `ConfigurationError` naming the path and the mend."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except OSError as exc:
        raise ConfigurationError(
            f"no key-encryption key can be read at {path}: {exc.strerror}; put it back from its backup, or, in a "
            "workspace from before artefacts were sealed, run 'imprimatur registry seal'"
        ) from exc
    except ValueError as exc:
        raise ConfigurationError(f"{path} is no key-encryption key; it should hold {2 * KEY_BYTES} hex digits") from exc
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{path} should hold {2 * KEY_BYTES} hex digits, found {2 * len(key)}")
    return key


def seal(content: bytes, key: bytes, about: bytes) -> bytes:
    """`content` under `key`; it opens only with the same `about`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, about)


def unseal(sealed: bytes, key: bytes, about: bytes) -> bytes:
    """What was sealed. Raises `ServiceError` when it was changed, or sealed under another key or about something else."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
    except (InvalidTag, ValueError) as exc:
        named = about.decode(errors="replace").replace("\n", " ")
        raise ServiceError(f"what is sealed about {named} does not open: it was damaged or exchanged") from exc
