"""Which addresses the registry may call when somebody else names them: public ones, over TLS, resolved once.

A name is resolved once and the caller connects to the address that comes back, so that an answer which changes between
check and use (DNS rebinding) gains nothing. One private address among several is enough to refuse a name.
"""

from __future__ import annotations

import ipaddress
import socket
import warnings
from collections.abc import Callable
from typing import Final, Protocol

import httpx

from sdk.errors import InputError

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_LOCAL: Final = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "fec0::/10", "::/96", "::ffff:0:0:0/96")))
"""NAT64 of one network (RFC 8215), site-local addresses (RFC 3879), IPv4-compatible (RFC 4291) and IPv4-translated ones
(RFC 2765): some Python versions take them for global."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


class Addresses(Protocol):
    """Which address a message may go to."""

    def pin(self, url: str) -> str:
        """The one IP address for `url`. Raises `InputError` when it may not be sent to."""


class PublicAddresses:
    """Names with https that mean public addresses only."""

    schemes: tuple[str, ...] = ("https",)

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    def pin(self, url: str) -> str:
        parsed = _parse(url, self.schemes)
        try:
            found = self._resolve(name_sent(parsed), parsed.port or 443)
        except (OSError, UnicodeError) as exc:  # UnicodeError: a part of the name is empty or too long
            raise InputError(f"the name {parsed.host} cannot be resolved; correct the webhook's address") from exc
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
        if not addresses or not all(self.is_allowed(address) for address in addresses):
            raise InputError(f"{parsed.host} is no public address; webhooks go to public addresses only")
        return str(addresses[0])

    def is_allowed(self, address: Address) -> bool:
        """Whether an address is one of the public internet, and carries no other inside."""
        if isinstance(address, ipaddress.IPv6Address):
            if any(address in network for network in _LOCAL):
                return False
            if address in _NAT64:
                return self.is_allowed(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
            inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
            if inner is not None:
                return self.is_allowed(inner)
        return address.is_global and not address.is_multicast


class UnsafeLoopbackAddresses(PublicAddresses):
    """For tests: this machine, without TLS. No setting leads here."""

    schemes = ("http", "https")

    def __init__(self, resolve: Resolve) -> None:
        warnings.warn("webhooks may reach this machine: for tests only", RuntimeWarning, stacklevel=2)
        super().__init__(resolve)

    def is_allowed(self, address: Address) -> bool:
        return address.is_loopback or super().is_allowed(address)


def name_sent(url: httpx.URL) -> str:
    """The host of `url` as it goes over the wire; Python itself would encode another one of some names (IDNA 2003)."""
    return url.raw_host.decode("ascii")


def resolve_by_system(host: str, port: int) -> list[str]:
    """Every address of a name, as the machine's resolver tells. Raises `OSError`."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _parse(url: str, schemes: tuple[str, ...]) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        host = parsed.host
    except (httpx.InvalidURL, UnicodeError) as exc:  # UnicodeError: a part of the name is no IDNA
        raise InputError("the webhook's address cannot be read as a URL") from exc
    if parsed.scheme not in schemes or not host or parsed.userinfo or parsed.fragment:
        raise InputError(f"a webhook's address should be {' or '.join(schemes)}, without user and fragment")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise InputError(f"a webhook's address has the port {parsed.port}; ports go from 1 to 65535")
    return parsed
