"""Where a webhook may be sent: to public addresses only, resolved once, and held to when it is sent."""

from __future__ import annotations

from dataclasses import fields

import pytest
from support.registry import START, signer_of
from support.webhook_receiver import Receiver

from registry.outbound import PublicAddresses, UnsafeLoopbackAddresses, resolve_by_system
from registry.settings import Settings
from registry.webhooks.sending import Message, Sender
from sdk.errors import InputError


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.0.0.7", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
            *(
                "224.0.0.1",
                "255.255.255.255",
                "192.0.2.1",
                "::1",
                "::",
                "fe80::1",
                "fe80::1%eth0",
                "fc00::1",
                "ff02::1",
            ),
            *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::"),
        ],
    )
    def test_that_are_not_public_are_refused(self, address: str) -> None:
        for found in ([address], ["93.184.215.14", address]):
            with pytest.raises(InputError, match="public addresses only"):
                PublicAddresses(lambda host, port, found=found: found).pin("https://hooks.example.com/")  # type: ignore[misc]

    @pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
    def test_that_are_public_are_pinned(self, address: str) -> None:
        assert PublicAddresses(lambda host, port: [address]).pin("https://hooks.example.com/") == address

    def test_a_name_is_resolved_once_and_the_connection_goes_there(self, receiver: Receiver) -> None:
        asked: list[str] = []

        def resolve(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"]

        with pytest.warns(RuntimeWarning):
            sender = Sender(signer_of("webhook"), UnsafeLoopbackAddresses(resolve))
        port = receiver.address.rsplit(":", 1)[1]
        message = Message(id="msg_1", content=b"{}")
        attempt = sender(f"http://hooks.no-such-name.invalid:{port}/in", message, START)
        assert (attempt.status, attempt.fault, asked) == (200, None, ["hooks.no-such-name.invalid"])
        assert receiver.came[0][0]["host"] == f"hooks.no-such-name.invalid:{port}"

    def test_an_address_that_became_private_is_refused_when_it_is_sent_to(self) -> None:
        sender = Sender(signer_of("webhook"), PublicAddresses(lambda host, port: ["169.254.169.254"]))
        attempt = sender("https://hooks.example.com/", Message(id="m", content=b""), START)
        assert attempt.status is None
        assert "public addresses only" in str(attempt.fault)

    def test_loopback_is_allowed_by_no_setting(self) -> None:
        assert not [each.name for each in fields(Settings) if "loopback" in each.name or "unsafe" in each.name]
        with pytest.raises(InputError):
            PublicAddresses(resolve_by_system).pin("https://localhost/")
