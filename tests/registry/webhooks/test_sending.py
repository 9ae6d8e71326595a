"""Sending to receivers that take their time: an attempt is over when its seconds are."""

from __future__ import annotations

import time

import pytest
from support.dripping import dripping_receiver
from support.registry import START, signer_of

from registry.outbound import UnsafeLoopbackAddresses, resolve_by_system
from registry.webhooks.sending import Message, Sender

MESSAGE = Message(id="msg_1", content=b"{}")


@pytest.fixture
def sender() -> Sender:
    """One that gives an attempt half a second; a byte comes every tenth."""
    with pytest.warns(RuntimeWarning, match="for tests only"):
        return Sender(signer_of("webhook"), UnsafeLoopbackAddresses(resolve_by_system), seconds=0.5)


class TestSlowReceivers:
    @pytest.mark.parametrize(
        ("first", "then"),
        [
            pytest.param(b"", b"HTTP/1.1 200 OK", id="a status line that never ends"),
            pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n", id="headers that never end"),
            pytest.param(b"", b"HTTP/1.1 102 Wait\r\n\r\n", id="interim answers that never end"),
        ],
    )
    def test_that_drip_are_given_up_when_the_seconds_of_the_attempt_are_over(
        self, sender: Sender, first: bytes, then: bytes
    ) -> None:
        with dripping_receiver(first, then=then) as receiver:
            began = time.monotonic()
            attempt = sender(receiver.address, MESSAGE, START)
            took = time.monotonic() - began
        assert (attempt.status, attempt.fault) == (None, "no answer in 0.5 s")
        assert 0.5 <= took < 5

    def test_that_drip_a_handshake_are_given_up_sooner(self, sender: Sender) -> None:
        with dripping_receiver(b"\x16\x03\x03\x40\x00", then=b"\x02") as receiver:
            began = time.monotonic()
            attempt = sender(receiver.address.replace("http", "https"), MESSAGE, START)
            took = time.monotonic() - began
        assert (attempt.status, attempt.fault) == (None, "no answer: ConnectTimeout")
        assert took < 5

    def test_that_drip_a_body_have_answered(self) -> None:
        with pytest.warns(RuntimeWarning, match="for tests only"):
            sender = Sender(signer_of("webhook"), UnsafeLoopbackAddresses(resolve_by_system))
        with dripping_receiver(b"HTTP/1.1 200 OK\r\n\r\n", then=b"more") as receiver:
            attempt = sender(receiver.address, MESSAGE, START)
        assert (attempt.status, attempt.fault) == (200, None)

    def test_that_are_not_there_are_told_apart(self, sender: Sender) -> None:
        with dripping_receiver(then=b"x") as receiver:
            address = receiver.address
        assert sender(address, MESSAGE, START).fault == "no answer: ConnectError"
