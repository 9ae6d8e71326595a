"""The code that mends a watermark's bits: up to ten wrong are mended, noise is refused."""

from __future__ import annotations

import random

import pytest

from sdk.credentials.bch import CORRECTS, LENGTH, MESSAGE, decode, encode


def spoilt(word: int, errors: int, chosen: random.Random) -> int:
    for place in chosen.sample(range(LENGTH), errors):
        word ^= 1 << place
    return word


class TestCode:
    @pytest.mark.parametrize("errors", range(CORRECTS + 1))
    def test_mends_up_to_ten_wrong_bits(self, errors: int) -> None:
        chosen = random.Random(errors)
        for _ in range(20):
            message = chosen.getrandbits(MESSAGE)
            assert decode(spoilt(encode(message), errors, chosen)) == message

    def test_more_are_not_mended_into_the_message(self) -> None:
        chosen = random.Random(1)
        message = chosen.getrandbits(MESSAGE)
        assert all(decode(spoilt(encode(message), CORRECTS + 3, chosen)) != message for _ in range(50))

    def test_noise_is_refused(self) -> None:
        chosen = random.Random(2)
        assert sum(decode(chosen.getrandbits(LENGTH)) is not None for _ in range(1000)) <= 1

    def test_holds_the_message_itself(self) -> None:
        assert encode(5) >> (LENGTH - MESSAGE) == 5
        assert encode(0) == decode(0) == 0

    def test_keeps_its_words(self) -> None:
        """Marks are read that were made years ago."""
        assert encode(1) == 0xA1AB815BC7EC8025
