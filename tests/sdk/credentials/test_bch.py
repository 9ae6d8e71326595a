"""The code that mends a watermark's bits: twenty wrong are mended where they are the unsure ones; noise agrees with nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sdk.credentials.bch import LENGTH, MESSAGE, bits, decode, encode


def evidence(word: int, wrong: int, chosen: random.Random) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A word as it is read: `wrong` bits of it turned, which are less sure than the others."""
    turned = set(chosen.sample(range(LENGTH), wrong))
    sure = [-chosen.uniform(0, 0.4) if place in turned else chosen.uniform(0.2, 1.2) for place in range(LENGTH)]
    return (np.array(sure) * np.where(bits(word), 1, -1)).astype(np.float32)


class TestCode:
    @pytest.mark.parametrize("wrong", [0, 5, 10, 15, 20])
    def test_mends_wrong_bits_that_are_unsure(self, wrong: int) -> None:
        chosen = random.Random(wrong)
        for _ in range(20):
            message = chosen.getrandbits(MESSAGE)
            read, agreement = decode(evidence(encode(message), wrong, chosen))
            assert read == message
            assert agreement > (0.85 if wrong else 0.999)

    def test_sure_bits_that_are_wrong_are_believed(self) -> None:
        chosen = random.Random(1)
        message = chosen.getrandbits(MESSAGE)
        read, _ = decode(evidence(encode(message) ^ (1 << 40) - 1, 0, chosen))
        assert read != message

    def test_noise_agrees_with_no_word(self) -> None:
        noise = np.random.default_rng(2).normal(size=(200, LENGTH)).astype(np.float32)
        agreements = [decode(each)[1] for each in noise]
        assert 0.8 < np.mean(agreements) < 0.88
        assert sum(agreement >= 0.9 for agreement in agreements) <= 2

    def test_silence_is_no_error(self) -> None:
        message, agreement = decode(np.zeros(LENGTH, dtype=np.float32))
        assert (message, agreement) == (0, 1)

    def test_holds_the_message_itself(self) -> None:
        assert encode(5) >> (LENGTH - MESSAGE) == 5
        assert encode(0) == 0

    def test_differs_from_every_other_word_in_21_bits(self) -> None:
        """By the bound of Bose: twenty powers of a primitive element in a row are roots of every word."""
        powers = [1]
        for _ in range(LENGTH - 1):
            powers.append(powers[-1] << 1 ^ (0b10001001 if powers[-1] & 64 else 0))
        places = [place for place in range(LENGTH) if encode(0x123456789ABCDEF) >> place & 1]
        for root in range(1, 21):
            total = 0
            for place in places:
                total ^= powers[place * root % LENGTH]
            assert total == 0

    def test_keeps_its_words(self) -> None:
        """Marks are read that were made years ago."""
        assert encode(1) == 0xA1AB815BC7EC8025
