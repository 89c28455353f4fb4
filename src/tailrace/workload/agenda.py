"""What is to happen later: the answer to a typing signal, the scan of a file, the end of a session."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

AGENDA_MAX: Final = 50_000
"""Entries kept at most; beyond it a follow-up does not happen, as when a client goes away."""


class Agenda:
    """Calls to be made at given times of the generator's clock, in order of time."""

    __slots__ = ("_entries", "_number")

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def add(self, at_us: int, call: Callable[..., None], *args: Any) -> None:
        """Plan `call(*args)` for `at_us` (microseconds since 1970)."""
        if len(self._entries) < AGENDA_MAX:
            # The number decides between equal times, so calls are never compared.
            self._number += 1
            heappush(self._entries, (at_us, self._number, call, args))

    def next_due(self, now_us: int) -> tuple[int, Callable[..., None], tuple[Any, ...]] | None:
        """Take out the earliest call that is due at `now_us`: its time, itself, its arguments."""
        if self._entries and self._entries[0][0] <= now_us:
            at_us, _, call, args = heappop(self._entries)
            return at_us, call, args
        return None
