"""The binary BCH(127, 64) code: 64 bits in 127, read from numbers that say how sure each bit is. Pure.

Bose, Ray-Chaudhuri, Hocquenghem 1960. Decoding is by ordered statistics of order two (Fossorier and Lin 1995): of the code
words that differ from the surest bits in two places at most, the one that the numbers speak for. It mends twice as many
wrong bits as an algebraic decoder does, because wrong bits are the unsure ones. It always finds some code word: how far the
numbers agree with it says whether to believe it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LENGTH: Final = 127
MESSAGE: Final = 64
DISTANCE: Final = 21  # at least, between two code words
_GENERATOR: Final = (
    0o1206534025570773100045  # Lin and Costello, table of primitive BCH codes; bit i is the coefficient of x^i
)
_CHECKS: Final = LENGTH - MESSAGE


def encode(message: int) -> int:
    """The code word of a message of 64 bits: the message itself, and 63 check bits below it."""
    remainder = message << _CHECKS
    while remainder.bit_length() > _CHECKS:
        remainder ^= _GENERATOR << (remainder.bit_length() - 1 - _CHECKS)
    return message << _CHECKS | remainder


def decode(evidence: NDArray[np.float32]) -> tuple[int, float]:
    """The message of the likeliest code word, and how far the evidence agrees with it: 1 when every bit does.

    `evidence` [127] is above 0 for a one and below for a zero, highest bit first, and the further off, the surer. Noise
    agrees with some code word to about 0.86.
    """
    import numpy as np

    seen, weights = evidence > 0, np.abs(evidence)
    span, places = _spanning(np.argsort(-weights, kind="stable").tolist())
    word = np.bitwise_xor.reduce(span[:-1][seen[places]], axis=0, initial=False)
    turning = np.where(word ^ seen, -weights, weights)  # what it costs to turn a bit of the word
    each = span @ turning
    both = (span * turning) @ span.T.astype(np.float32)
    cost = each[:, None] + each[None] - 2 * both  # of adding two rows: one and itself for none, the last for one alone
    one, other = np.unravel_index(cost.argmin(), cost.shape)
    word = word ^ span[one] ^ span[other]
    agreement = 1 - 2 * weights[word ^ seen].sum() / max(weights.sum(), np.finfo(np.float32).tiny)
    return int("".join("1" if bit else "0" for bit in word[:MESSAGE]), 2), float(agreement)


def _spanning(order: Sequence[int]) -> tuple[Any, list[int]]:
    """Code words that span the code, and the zero word, [65, 127]; each with the only one at its place, earliest in `order`."""
    import numpy as np

    words, places = list(_words()), list[int]()
    for place in order:
        bit = 1 << (LENGTH - 1 - place)
        at = next((index for index in range(len(places), MESSAGE) if words[index] & bit), None)
        if at is None:
            continue
        chosen = words.pop(at)
        words = [word ^ chosen if word & bit else word for word in words]
        words.insert(len(places), chosen)
        places.append(place)
        if len(places) == MESSAGE:
            break
    return np.array([bits(word) for word in (*words, 0)]), places


@cache
def _words() -> tuple[int, ...]:
    return tuple(encode(1 << place) for place in range(MESSAGE))


def bits(word: int) -> Any:
    """A code word as booleans [127], highest bit first."""
    import numpy as np

    padded = np.frombuffer((word << 1).to_bytes(LENGTH // 8 + 1, "big"), dtype=np.uint8)
    return np.unpackbits(padded)[:LENGTH].astype(bool)
