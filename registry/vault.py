"""The key vault: one small file a data key, in no database and no blob store, so that a key can be destroyed for good.

A row or a blob that was deleted comes back with a backup; what it was sealed with must not. So a data key is sealed by a
key of its own, which lies in the vault, wrapped by the key-encryption key; database, blobs and vault together open a
content, and taking one file out of the vault closes it for ever, in every backup of the others (ADR 0025).

A vault is mirrored, never archived: a backup of it that is kept is a key that was not destroyed.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from registry.sealing import KeyWrapper, NamedKeyWrapper, WrappedKey, new_key, seal, unseal
from sdk.errors import ConfigurationError, Erased, ServiceError, ServiceUnavailable
from sdk.local_files import flush_folder, make_folder, replace_file

KeyName = str
"""32 hex digits, chosen at random: it says nothing of what it opens."""
_NAME = re.compile(r"[0-9a-f]{32}")
_VAULTED: Final = b"\x02"  # before the name of the vault's key; a key from before there was a vault is wrapped alone
_NAME_BYTES: Final = 16
_WRAPPED_BYTES: Final = 1 + _NAME_BYTES + 12 + 32 + 16
_HELD: Final = b"\x01"  # before the id of the key-encryption key that wraps a half
_NAMELESS_BYTES: Final = 12 + 32 + 16  # a half from before they said so: the row's own `wrapped_by` holds
_KEY_ID_BYTES: Final = 32


class KeyVault(Protocol):
    """Keeps wrapped keys by name, until they are destroyed."""

    def put(self, name: KeyName, content: bytes) -> None:
        """Keep a new key; it is on disk when this returns."""

    def get(self, name: KeyName) -> bytes | None:
        """The key, or none once it is destroyed."""

    def destroy(self, name: KeyName) -> None:
        """Destroy a key for good; nothing happens when it is gone."""


class FolderKeyVault:
    """A `KeyVault` in a folder of its own, 0700."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: KeyName, content: bytes) -> None:
        path = self._path(name)
        try:
            make_folder(path.parent)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            flush_folder(path.parent)
        except OSError as exc:
            raise ServiceUnavailable(f"the key vault at {self._folder} cannot be written: {exc.strerror}") from exc

    def get(self, name: KeyName) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            if not self._folder.is_dir():
                raise ConfigurationError(f"there is no key vault at {self._folder}; put it back in its place") from None
            return None
        except OSError as exc:
            raise ServiceUnavailable(f"the key vault at {self._folder} cannot be read: {exc.strerror}") from exc

    def destroy(self, name: KeyName) -> None:
        path = self._path(name)
        with suppress(FileNotFoundError):
            with path.open("r+b") as file:  # overwritten first, for what that is worth on the disk below
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            flush_folder(path.parent)

    def names(self) -> Iterator[KeyName]:
        """Every key that it holds."""
        return (path.name for path in sorted(self._folder.glob("??/*")) if _NAME.fullmatch(path.name))

    def replace(self, name: KeyName, content: bytes) -> None:
        """Put a key in the place of one, whole: whoever reads meets the old one or the new."""
        replace_file(self._path(name), content, wait_for_rename=True)

    def _path(self, name: KeyName) -> Path:
        if not _NAME.fullmatch(name):
            raise ServiceError(f"no key of the vault is named {name!r}")
        return self._folder / name[:2] / name


class MemoryKeyVault:
    """A `KeyVault` for tests and benchmarks."""

    def __init__(self) -> None:
        self.keys: dict[KeyName, bytes] = {}

    def put(self, name: KeyName, content: bytes) -> None:
        self.keys[name] = content

    def get(self, name: KeyName) -> bytes | None:
        return self.keys.get(name)

    def destroy(self, name: KeyName) -> None:
        self.keys.pop(name, None)


class VaultKeyWrapper:
    """A `KeyWrapper` whose wrapped keys open only while the vault has their other half."""

    def __init__(self, inner: KeyWrapper, vault: KeyVault) -> None:
        self._inner = inner
        self._vault = vault

    def wrap(self, data_key: bytes, about: bytes) -> WrappedKey:
        name, half = secrets.token_hex(_NAME_BYTES), new_key()
        held = self._inner.wrap(half, _about(name))
        self._vault.put(name, _encode_held(held))
        return WrappedKey(
            wrapped=_VAULTED + bytes.fromhex(name) + seal(data_key, half, about), wrapped_by=held.wrapped_by
        )

    def unwrap(self, key: WrappedKey, about: bytes) -> bytes:
        name = vault_name(key.wrapped)
        if name is None:
            return self._inner.unwrap(key, about)
        held = self._vault.get(name)
        if held is None:
            raise Erased(
                f"what is sealed about {about.decode(errors='replace').splitlines()[0]} was erased: its key is destroyed"
            )
        half = self._inner.unwrap(_parse_held(held, key.wrapped_by), _about(name))
        return unseal(key.wrapped[1 + _NAME_BYTES :], half, about)

    def destroy(self, name: KeyName) -> None:
        """Destroy the vault's half of a key: what it opened is closed for ever."""
        self._vault.destroy(name)

    def has(self, name: KeyName) -> bool:
        """Whether the vault still has its half."""
        return self._vault.get(name) is not None


def rewrap(vault: FolderKeyVault, old: NamedKeyWrapper, new: NamedKeyWrapper) -> int:
    """Wrap every half with `new`; returns how many were not yet. Stopped at any moment, it can be run again.

    Raises:
        ServiceError: one is wrapped by neither, or damaged; those before it are wrapped by `new`.
    """
    count = 0
    for name in vault.names():
        content = vault.get(name)
        if content is None or (held := _parse_held(content, old.keyid)).wrapped_by == new.keyid:
            continue
        vault.replace(name, _encode_held(new.wrap(old.unwrap(held, _about(name)), _about(name))))
        count += 1
    return count


def _encode_held(key: WrappedKey) -> bytes:
    return _HELD + bytes.fromhex(key.wrapped_by) + key.wrapped


def _parse_held(content: bytes, nameless_by: str) -> WrappedKey:
    if len(content) == _NAMELESS_BYTES:
        return WrappedKey(wrapped=content, wrapped_by=nameless_by)
    if not content.startswith(_HELD):
        raise ServiceError("a key of the vault is damaged; put it back from its mirror")
    start = 1 + _KEY_ID_BYTES
    return WrappedKey(wrapped=content[start:], wrapped_by=content[1:start].hex())


def vault_name(wrapped: bytes) -> KeyName | None:
    """Which key of the vault a wrapped key needs; none for one from before there was a vault."""
    vaulted = wrapped[:1] == _VAULTED and len(wrapped) == _WRAPPED_BYTES
    return wrapped[1 : 1 + _NAME_BYTES].hex() if vaulted else None


def _about(name: KeyName) -> bytes:
    return f"key of the vault\n{name}".encode()
