"""The binary BCH(127, 64) code: 64 bits in 127, of which any 10 may be wrong. Pure; integers stand for bits.

Bose, Ray-Chaudhuri, Hocquenghem 1960; decoding after Berlekamp and Massey, with Chien's search. The field is
GF(2^7) over x^7 + x^3 + 1. A word that lies near no code word is refused: of random words all but one in 2^15.
"""

from __future__ import annotations

from functools import cache
from typing import Final

LENGTH: Final = 127
MESSAGE: Final = 64
CORRECTS: Final = 10
_PRIMITIVE: Final = 0b10001001


@cache
def _field() -> tuple[tuple[int, ...], dict[int, int]]:
    """Powers of the primitive element, and their logarithms."""
    powers, value = [], 1
    for _ in range(LENGTH):
        powers.append(value)
        value = (value << 1) ^ (_PRIMITIVE if value & 64 else 0)
    return tuple(powers), {power: exponent for exponent, power in enumerate(powers)}


def _times(one: int, other: int) -> int:
    powers, logarithms = _field()
    return powers[(logarithms[one] + logarithms[other]) % LENGTH] if one and other else 0


@cache
def _generator() -> int:
    """The product of the minimal polynomials of the first 20 powers; bit i is the coefficient of x^i."""
    powers, _ = _field()
    roots = {(exponent << shift) % LENGTH for exponent in range(1, 2 * CORRECTS + 1) for shift in range(7)}
    product = [1]  # over the field; its coefficients end in {0, 1}
    for root in sorted(roots):
        shifted = [0, *product]
        product = [a ^ _times(powers[root], b) for a, b in zip(shifted, [*product, 0], strict=True)]
    return sum(bit << place for place, bit in enumerate(product))


def encode(message: int) -> int:
    """The code word of a message of 64 bits: the message itself, and 63 check bits below it."""
    return message << (LENGTH - MESSAGE) | _remainder(message << (LENGTH - MESSAGE))


def decode(word: int) -> int | None:
    """The message of the code word within 10 bits of `word`; none when there is no such code word."""
    syndromes = _syndromes(word)
    if any(syndromes):
        wrong = _error_places(_locator(syndromes))
        if wrong is None:
            return None
        word ^= sum(1 << place for place in wrong)
        if _remainder(word):
            return None
    return word >> (LENGTH - MESSAGE)


def _remainder(word: int) -> int:
    generator = _generator()
    degree = generator.bit_length() - 1
    while word.bit_length() > degree:
        word ^= generator << (word.bit_length() - 1 - degree)
    return word


def _syndromes(word: int) -> list[int]:
    powers, _ = _field()
    places = [place for place in range(LENGTH) if word >> place & 1]
    found = []
    for exponent in range(1, 2 * CORRECTS + 1):
        value = 0
        for place in places:
            value ^= powers[place * exponent % LENGTH]
        found.append(value)
    return found


def _locator(syndromes: list[int]) -> list[int]:
    """Berlekamp and Massey: the shortest recurrence of the syndromes, lowest coefficient first."""
    powers, logarithms = _field()
    current, previous = [1], [1]
    length, gap, before = 0, 1, 1
    for step, syndrome in enumerate(syndromes):
        discrepancy = syndrome
        for place in range(1, length + 1):
            if place < len(current):
                discrepancy ^= _times(current[place], syndromes[step - place])
        if not discrepancy:
            gap += 1
            continue
        factor = powers[(logarithms[discrepancy] - logarithms[before]) % LENGTH]
        added = [0] * gap + [_times(factor, value) for value in previous]
        width = max(len(current), len(added))
        mended = [(current[i] if i < len(current) else 0) ^ (added[i] if i < len(added) else 0) for i in range(width)]
        if 2 * length <= step:
            length, previous, before, gap = step + 1 - length, current, discrepancy, 1
        else:
            gap += 1
        current = mended
    return current


def _error_places(locator: list[int]) -> list[int] | None:
    """Chien's search: where the locator vanishes; none when it does not do so as often as it should."""
    powers, logarithms = _field()
    degree = max(place for place, value in enumerate(locator) if value)
    if degree > CORRECTS:
        return None
    logged = [(place, logarithms[value]) for place, value in enumerate(locator) if value]
    found = []
    for exponent in range(LENGTH):
        total = 0
        for place, logarithm in logged:
            total ^= powers[(logarithm + place * exponent) % LENGTH]
        if not total:
            found.append(-exponent % LENGTH)
    return found if len(found) == degree else None
