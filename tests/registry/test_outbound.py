"""Addresses that the registry does not call: names that are none, and networks that Python takes for public ones.

What else is refused, and that the connection goes where it was checked, is in `webhooks/test_webhooks.py`.
"""

from __future__ import annotations

import pytest

from registry.outbound import PublicAddresses, resolve_by_system
from sdk.errors import InputError


class TestPin:
    @pytest.mark.parametrize("url", ["https://a..b/", f"https://{'a' * 64}.example.com/"])
    def test_refuses_a_name_that_no_resolver_can_be_asked_for(self, url: str) -> None:
        with pytest.raises(InputError, match="cannot be resolved"):
            PublicAddresses(resolve_by_system).pin(url)

    def test_refuses_a_name_that_cannot_be_decoded(self) -> None:
        with pytest.raises(InputError, match="cannot be read as a URL"):
            PublicAddresses(resolve_by_system).pin("https://xn--/")

    @pytest.mark.parametrize("port", [0, 65536, 99999])
    def test_refuses_a_port_that_is_none(self, port: int) -> None:
        with pytest.raises(InputError, match=f"has the port {port}"):
            PublicAddresses(resolve_by_system).pin(f"https://hooks.example.com:{port}/")

    @pytest.mark.parametrize(
        "address",
        ["64:ff9b:1::a00:1", "64:ff9b:1::5db8:d70e", "fec0::1", "feff::1", "::127.0.0.1", "::ffff:0:127.0.0.1"],
    )
    def test_refuses_local_nat64_and_site_local_addresses(self, address: str) -> None:
        with pytest.raises(InputError, match="public addresses only"):
            PublicAddresses(lambda host, port: [address]).pin("https://hooks.example.com/")

    def test_asks_for_the_name_that_goes_over_the_wire(self) -> None:
        asked: list[str] = []
        PublicAddresses(lambda host, port: asked.append(host) or ["93.184.215.14"]).pin("https://faß.de/in")  # type: ignore[func-returns-value]
        assert asked == ["xn--fa-hia.de"]  # of IDNA 2008; by IDNA 2003 it is fass.de, which is somebody else's

    def test_looks_inside_nat64_of_the_internet(self) -> None:
        pinned = PublicAddresses(lambda host, port: ["64:ff9b::5db8:d70e"]).pin("https://hooks.example.com/")
        assert pinned == "64:ff9b::5db8:d70e"
