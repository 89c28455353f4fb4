"""Day and night: when the events of a run happen, and in which workspace it is busy then."""

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from tailrace.workload.company import Workspace
from tailrace.workload.dice import Weighted
from tailrace.workload.writer import DAY, HOUR, MINUTE

HOURS: Final = (1, 1, 1, 1, 1, 2, 5, 14, 45, 90, 100, 94, 58, 80, 100, 97, 88, 64, 30, 17, 12, 9, 5, 2)
"""How busy each local hour of a working day is."""
WEEKEND: Final = 0.1
_SATURDAY: Final = 5
_THURSDAY: Final = 3
"""1970-01-01 was one."""


def activity(unix_us: int, offset_minutes: int) -> float:
    """How busy a company is at that moment, given its minutes east of UTC.

    A fixed offset and no time-zone database: daylight saving does not matter to a weight, but the database differs
    between machines, and the run must not.
    """
    local = unix_us + offset_minutes * MINUTE
    day, within = divmod(local, DAY)
    weight = HOURS[within // HOUR]
    return weight * WEEKEND if (day + _THURSDAY) % 7 >= _SATURDAY else weight


class Schedule:
    """Turns "so many of the events are out" into "so late is it", hour by hour.

    Follow-ups count as events too, so the run ends at its end whatever the mix is.
    """

    __slots__ = ("_events", "_first", "_slot", "_start", "_sums", "_workspaces", "open")

    def __init__(self, start_us: int, days: int, span: tuple[int, int], workspaces: list[Workspace]) -> None:
        self._start = start_us
        self._first, self._events = span
        self._workspaces = workspaces
        totals = [self._total(slot) for slot in range(days * 24)]
        whole = sum(totals)
        self._sums = [total / whole for total in accumulate(totals)]
        self._slot = -1
        self.open = self._weigh(0)
        """The workspaces as they are busy in the current hour."""

    def time_at(self, count: int, jitter: float) -> int:
        """When the event after `count` others happens, in µs since 1970; `jitter` in 0 … 1 spreads inside the gap."""
        share = (count - self._first + jitter) / max(1, self._events - self._first)
        sums = self._sums
        slot = min(bisect_right(sums, share), len(sums) - 1)
        if slot != self._slot:
            self._slot = slot
            self.open = self._weigh(slot)
        before = sums[slot - 1] if slot else 0.0
        within = min(max(0.0, (share - before) / (sums[slot] - before)), 1.0)
        return self._start + slot * HOUR + int(within * HOUR)

    def _total(self, slot: int) -> float:
        at = self._start + slot * HOUR
        return sum(w.weight * activity(at, w.offset_minutes) for w in self._workspaces)

    def _weigh(self, slot: int) -> Weighted[Workspace]:
        at = self._start + slot * HOUR
        return Weighted([(w, w.weight * activity(at, w.offset_minutes)) for w in self._workspaces])
