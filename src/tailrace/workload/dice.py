"""Seeded chance that falls the same way on every machine."""

import random
from bisect import bisect
from collections.abc import MutableSequence, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_VARIANT: Final = 1 << 63
_LOW_MASK: Final = (1 << 62) - 1


class Dice:
    """Draws from `random()` and `getrandbits()` only.

    Both are fixed for a seed by CPython's documentation, and what is made of them here is addition, multiplication and
    comparison, which IEEE 754 rounds exactly; `gauss`, `expovariate` and powers go through the C library's `log`, whose
    last bit differs between machines.
    """

    __slots__ = ("_harmonic", "bits", "random")

    def __init__(self, seed: str) -> None:
        source = random.Random(seed)  # noqa: S311 - a reproducible workload, no secrets
        self.random = source.random
        self.bits = source.getrandbits
        self._harmonic = [1.0]

    def below(self, bound: int) -> int:
        """Whole number in 0 … bound-1."""
        return int(self.random() * bound)

    def between(self, low: int, high: int) -> int:
        """Whole number in low … high-1."""
        return low + int(self.random() * (high - low))

    def chance(self, probability: float) -> bool:
        """True with this probability (0 … 1)."""
        return self.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, each as likely as the other; IndexError when there is none."""
        return items[int(self.random() * len(items))]

    def pick_early(self, items: Sequence[T]) -> T:
        """One of the items by Zipf's law: the n-th is n times rarer than the first."""
        return items[self.zipf(len(items))]

    def zipf(self, count: int) -> int:
        """Index in 0 … count-1, where index i comes up in proportion to 1/(i+1)."""
        harmonic = self._harmonic
        while len(harmonic) < count:
            harmonic.append(harmonic[-1] + 1.0 / (len(harmonic) + 1))
        return bisect(harmonic, self.random() * harmonic[count - 1], 0, count - 1)

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Up to `count` different positions of `items`, in random order."""
        left = list(items)
        self.shuffle(left)
        return left[:count]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Fisher and Yates, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            items[last], items[other] = items[other], items[last]

    def uuid7(self, unix_ms: int) -> str:
        """Return a UUIDv7 (RFC 9562) of that millisecond, in canonical text."""
        tail = self.bits(74)
        low = f"{_VARIANT | (tail & _LOW_MASK):016x}"
        return f"{unix_ms >> 16:08x}-{unix_ms & 0xFFFF:04x}-7{tail >> 62:03x}-{low[:4]}-{low[4:]}"

    def uuid4(self) -> str:
        """Return a UUIDv4 in canonical text."""
        tail = self.bits(122)
        low = f"{_VARIANT | (tail & _LOW_MASK):016x}"
        high = f"{tail >> 62:015x}"
        return f"{high[:8]}-{high[8:12]}-4{high[12:]}-{low[:4]}-{low[4:]}"


class Weighted(Generic[T]):
    """Items with weights; raises IndexError when drawn from while all weights are 0."""

    __slots__ = ("_items", "_sums", "_total")

    def __init__(self, weighted: Sequence[tuple[T, float]]) -> None:
        self._items = [item for item, _ in weighted]
        self._sums = list(accumulate(weight for _, weight in weighted))
        self._total = self._sums[-1]

    def draw(self, dice: Dice) -> T:
        """One item, in proportion to the weights."""
        return self._items[bisect(self._sums, dice.random() * self._total)]
