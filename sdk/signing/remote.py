"""Signing keys that are kept elsewhere: key services of clouds, Vault, PKCS#11 modules, through `securesystemslib.signer`.

A key file may hold, instead of a private key, the key's URI and below it the public key that it must be:

    hv:imprimatur-log/1
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEA...
    -----END PUBLIC KEY-----

`import_key` asks the service for it once. The public key is pinned from then on: what the service signs is verified here
before it goes anywhere, so a key that was exchanged there signs nothing. URIs are securesystemslib's, and so is how each
service is found and signed in to: by the environment (VAULT_ADDR and VAULT_TOKEN, AWS_*, PYKCS11LIB, ...).
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from sdk.errors import ConfigurationError, ImprimaturError, ServiceUnavailable
from sdk.signing.public_keys import (
    decode_public_key,
    encode_public_key,
    key_id,
    parse_public_key,
    raw_public_key,
    verify_signature,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from securesystemslib.signer import SSlibKey

PIN_VARIABLE: Final = "IMPRIMATUR_HSM_PIN"


class KeyScheme(StrEnum):
    """Where a key may be kept, as its URI begins."""

    AWS = "awskms"  # awskms:KEY: ECDSA P-256
    AZURE = "azurekms"  # azurekms://VAULT.vault.azure.net/keys/KEY[/VERSION]: ECDSA P-256
    GOOGLE = "gcpkms"  # gcpkms:projects/.../cryptoKeyVersions/N: ECDSA P-256
    PKCS11 = "hsm"  # hsm:ID?label=TOKEN, the module by PYKCS11LIB: ECDSA P-256
    VAULT = "hv"  # hv:KEY[/VERSION], the transit engine of Vault or OpenBao: Ed25519


EXTRAS: Final = {
    KeyScheme.AWS: "awskms",
    KeyScheme.AZURE: "azurekms",
    KeyScheme.GOOGLE: "gcpkms",
    KeyScheme.PKCS11: "hsm",
    KeyScheme.VAULT: "vault",
}
"""What is installed for each: `pip install 'imprimatur[vault]'`."""


class RemoteSigner:
    """A `Signer` over a key that a service keeps; `sign` of securesystemslib's signer is the only thing asked of it."""

    def __init__(self, uri: str, public_key: bytes, sign: Callable[[bytes], Any]) -> None:
        self.uri = uri
        self.public_key = public_key
        self.keyid = key_id(public_key)
        self._sign = sign

    def sign(self, content: bytes) -> bytes:
        """A signature that was verified with the pinned key. Raises `ServiceUnavailable`."""
        with asking(self.uri):
            signature = bytes.fromhex(self._sign(content).signature)
        if not verify_signature(self.public_key, signature, content):
            raise ServiceUnavailable(
                f"what {self.uri} signed is not by the key {self.keyid[:12]} of its key file: the key there was "
                "exchanged, or the URI names another; if that is meant, import it anew and trust it"
            )
        return signature


def open_remote_key(uri: str, public_key: bytes) -> RemoteSigner:
    """A signer over the key at `uri`. Raises `ConfigurationError` naming the extra, the variable or the fault."""
    from securesystemslib.signer import Signer

    scheme = parse_scheme(uri)
    with asking(uri, extra=EXTRAS[scheme]):
        signer = Signer.from_priv_key_uri(uri, sslib_key(public_key), _secret)
    return RemoteSigner(uri, public_key, signer.sign)


def import_key(uri: str, path: Path) -> RemoteSigner:
    """Ask the service of `uri` for its public key, and write a key file at `path`.

    Raises:
        ConfigurationError: a file is there, the extra is missing, the service knows no such key, or it is of another kind.
        ServiceUnavailable: it gives no answer.
    """
    scheme = parse_scheme(uri)
    with asking(uri, extra=EXTRAS[scheme]):
        full_uri, key = _IMPORTERS[scheme](uri)
    signer = open_remote_key(full_uri, _raw(key, uri))
    try:
        with path.open("xb") as file:
            file.write(encode_key_reference(signer.uri, signer.public_key))
    except FileExistsError as exc:
        raise ConfigurationError(f"a key already exists at {path}; it is never overwritten") from exc
    except OSError as exc:
        raise ConfigurationError(f"no key file can be written at {path}: {exc.strerror}") from exc
    return signer


def encode_key_reference(uri: str, public_key: bytes) -> bytes:
    """What stands in the file of a key that is kept elsewhere."""
    return uri.encode() + b"\n" + encode_public_key(public_key)


def parse_key_reference(content: bytes, place: str) -> RemoteSigner:
    """A signer from what `encode_key_reference` wrote. Raises `ConfigurationError` naming `place`."""
    uri, _, pem = content.partition(b"\n")
    try:
        text = uri.decode("ascii").strip()
        parse_scheme(text)
    except (UnicodeDecodeError, ConfigurationError) as exc:
        raise ConfigurationError(
            f"{place} is not an unencrypted PEM private key, and no URI of a key kept elsewhere"
        ) from exc
    return open_remote_key(text, decode_public_key(pem, f"what is below the URI in {place}"))


def parse_scheme(uri: str) -> KeyScheme:
    """Where the key of `uri` is kept. Raises `ConfigurationError`."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in set(KeyScheme) or (not rest and scheme != KeyScheme.PKCS11):
        raise ConfigurationError(
            f"{uri[:80]!r} is no URI of a key; it should begin with one of {', '.join(f'{each}:' for each in KeyScheme)}"
        )
    return KeyScheme(scheme)


def sslib_key(public_key: bytes) -> SSlibKey:
    """A public key as securesystemslib and TUF have it, with our key id."""
    from securesystemslib.signer import SSlibKey

    return SSlibKey.from_crypto(parse_public_key(public_key), keyid=key_id(public_key))


@contextmanager
def asking(uri: str, *, extra: str = "") -> Iterator[None]:
    """Say what the errors of a key service mean: their classes are its library's, and not to be known here.

    Raises:
        ConfigurationError: its library is missing, or does not understand the URI.
        ServiceUnavailable: anything else.
    """
    from securesystemslib.exceptions import UnsupportedLibraryError

    try:
        yield
    except ImprimaturError:
        raise
    except (UnsupportedLibraryError, ImportError) as exc:
        raise ConfigurationError(
            f"the key {uri} needs what the extra {extra!r} installs: pip install 'imprimatur[{extra}]'"
        ) from exc
    except ValueError as exc:
        raise ConfigurationError(f"the key {uri} cannot be used: {exc}") from exc
    except Exception as exc:
        raise ServiceUnavailable(f"the service of the key {uri} did not answer as it should: {_words(exc)}") from exc


def _words(exc: Exception) -> str:
    text = str(exc).strip().splitlines()
    return f"{type(exc).__name__}: {text[0][:200]}" if text else type(exc).__name__


def _secret(name: str) -> str:
    """The PIN of a PKCS#11 token: from the environment, or from whoever sits at the terminal."""
    if given := os.environ.get(PIN_VARIABLE):
        return given
    if not sys.stdin.isatty():
        raise ConfigurationError(f"the key's {name} is not given; set {PIN_VARIABLE}")
    return getpass.getpass(f"{name} of the key: ")


def _raw(key: SSlibKey, uri: str) -> bytes:
    public = key.keyval["public"]
    raw = bytes.fromhex(public) if key.keytype == "ed25519" else raw_public_key(load_pem_public_key(public.encode()))
    if raw is None:
        raise ConfigurationError(f"the key {uri} is {key.scheme}; make one that is Ed25519 or ECDSA P-256")
    return raw


def _from_aws(uri: str) -> tuple[str, SSlibKey]:
    from securesystemslib.signer import AWSSigner

    return AWSSigner.import_(uri.partition(":")[2])


def _from_azure(uri: str) -> tuple[str, SSlibKey]:
    from securesystemslib.signer import AzureSigner

    parts = urlsplit(uri)
    path = parts.path.split("/")
    if len(path) < 3 or path[1] != "keys":
        raise ConfigurationError(f"expected azurekms://VAULT.vault.azure.net/keys/KEY, found {uri}")
    return AzureSigner.import_((parts.hostname or "").partition(".")[0], path[2])


def _from_google(uri: str) -> tuple[str, SSlibKey]:
    from securesystemslib.signer import GCPSigner

    return GCPSigner.import_(uri.partition(":")[2])


def _from_token(uri: str) -> tuple[str, SSlibKey]:
    from securesystemslib.signer import HSMSigner

    parts = urlsplit(uri)
    label = parse_qs(parts.query).get("label", [None])[0]
    return HSMSigner.import_(int(parts.path) if parts.path else None, label, _secret)


def _from_vault(uri: str) -> tuple[str, SSlibKey]:
    from securesystemslib.signer import VaultSigner

    return VaultSigner.import_(uri.partition(":")[2].partition("/")[0])


_IMPORTERS: Final[dict[KeyScheme, Callable[[str], tuple[str, SSlibKey]]]] = {
    KeyScheme.AWS: _from_aws,
    KeyScheme.AZURE: _from_azure,
    KeyScheme.GOOGLE: _from_google,
    KeyScheme.PKCS11: _from_token,
    KeyScheme.VAULT: _from_vault,
}
