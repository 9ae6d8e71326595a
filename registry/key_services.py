"""The key-encryption key by its name: a file, or a key of a key service that wraps and unwraps and never gives it out.

    key_encryption_key = "keys/key-encryption.key"   # a file
    key_encryption_key = "hv:imprimatur"             # a key of the transit engine of Vault or OpenBao

Another service is one function in `_SERVICES`. How it is found and signed in to is its own library's: for Vault
VAULT_ADDR and VAULT_TOKEN, with a policy that allows encrypt and decrypt with this one key and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from registry.sealing import KEY_ID_DOMAIN, NamedKeyWrapper, WrappedKey, file_key_wrapper
from registry.settings import is_uri
from sdk.errors import ConfigurationError, ServiceError
from sdk.signing.remote import EXTRAS, KeyScheme, asking


class KeyService(Protocol):
    """Encrypts a few bytes with a key that it keeps. Whatever it raises is said as `ServiceUnavailable`."""

    def encrypt(self, content: bytes, about: bytes) -> bytes:
        """The ciphertext; it opens only with the same `about`."""

    def decrypt(self, ciphertext: bytes, about: bytes) -> bytes:
        """What was encrypted."""


class ServiceKeyWrapper:
    """A `KeyWrapper` whose key-encryption key is kept by a service; each wrapping and unwrapping is one call to it."""

    def __init__(self, uri: str, service: KeyService) -> None:
        self._uri = uri
        self._service = service
        self.keyid = hashlib.sha256(KEY_ID_DOMAIN + uri.encode()).hexdigest()

    def wrap(self, data_key: bytes, about: bytes) -> WrappedKey:
        with asking(self._uri):
            return WrappedKey(wrapped=self._service.encrypt(data_key, about), wrapped_by=self.keyid)

    def unwrap(self, key: WrappedKey, about: bytes) -> bytes:
        if key.wrapped_by != self.keyid:
            raise ServiceError(
                f"a data key is wrapped by key-encryption key {key.wrapped_by[:12]}, but {self._uri} is "
                f"{self.keyid[:12]}; run 'imprimatur registry rewrap', or put the setting right"
            )
        with asking(self._uri):
            return self._service.decrypt(key.wrapped, about)


def open_key_wrapper(key: str) -> NamedKeyWrapper:
    """The wrapper of the key-encryption key that a setting names. Raises `ConfigurationError`."""
    if not is_uri(key):
        return file_key_wrapper(Path(key))
    scheme = key.partition(":")[0]
    if scheme not in _SERVICES or not key.partition(":")[2]:
        raise ConfigurationError(
            f"{key!r} names no key-encryption key; it should be a file, or begin with "
            + " or ".join(f"{each}:" for each in _SERVICES)
        )
    with asking(key, extra=EXTRAS[KeyScheme(scheme)]):
        return ServiceKeyWrapper(key, _SERVICES[scheme](key.partition(":")[2]))


class VaultTransit:
    """A key of the transit engine. https://developer.hashicorp.com/vault/api-docs/secret/transit

    Ciphertexts carry the version of the key, so that Vault can rotate it by itself.
    """

    def __init__(self, name: str) -> None:
        import hvac

        self._name = name
        self._transit: Any = hvac.Client().secrets.transit

    def encrypt(self, content: bytes, about: bytes) -> bytes:
        answer = self._transit.encrypt_data(self._name, plaintext=_text(content), associated_data=_text(about))
        return str(answer["data"]["ciphertext"]).encode("ascii")

    def decrypt(self, ciphertext: bytes, about: bytes) -> bytes:
        answer = self._transit.decrypt_data(self._name, ciphertext=ciphertext.decode(), associated_data=_text(about))
        return base64.b64decode(answer["data"]["plaintext"], validate=True)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


_SERVICES: Final[Mapping[str, Callable[[str], KeyService]]] = {KeyScheme.VAULT: VaultTransit}
"""By the scheme of a URI: what opens the key that the rest of it names."""
