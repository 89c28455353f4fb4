"""Event ids: UUIDv7 (RFC 9562), rising within one process so that ids made in order sort in order."""

import secrets
from collections.abc import Callable
from typing import Final
from uuid import UUID

from tailrace.producer.clock import wall_clock_us

_RANDOM_BITS: Final = 74
_STEP_BITS: Final = 32
_LOW_BITS: Final = 62


class EventIds:
    """Makes UUIDv7s that rise strictly, also within one millisecond and when the wall clock goes back.

    48 bits of milliseconds, then 74 random bits; within a millisecond these count up by a random step (RFC 9562, 6.2,
    method 2), and where they run over, the millisecond is counted up instead. Not for use from several threads at once.
    """

    def __init__(
        self,
        *,
        now_us: Callable[[], int] = wall_clock_us,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._now_us = now_us
        self._random_bits = random_bits
        self._millisecond = -1
        self._tail = 0

    def next(self) -> UUID:
        """Return the next id."""
        millisecond = self._now_us() // 1_000
        if millisecond > self._millisecond:
            self._restart(millisecond)
        else:
            self._tail += 1 + self._random_bits(_STEP_BITS)
            if self._tail >> _RANDOM_BITS:
                self._restart(self._millisecond + 1)
        high, low = self._tail >> _LOW_BITS, self._tail & ((1 << _LOW_BITS) - 1)
        return UUID(int=self._millisecond << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)

    def _restart(self, millisecond: int) -> None:
        self._millisecond = millisecond
        # The top bit stays free, or a high draw would run over at the first step.
        self._tail = self._random_bits(_RANDOM_BITS - 1)
