"""Tells a stream that has nothing to do from one that stands still."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Watchdog:
    """Looks at positions from time to time. Times are seconds of any clock that only rises.

    `behind` holds, of the last look, (partition, position, end) of every partition with offsets before its end.
    """

    stall_timeout_s: float
    behind: list[tuple[int, int, int]] = field(default_factory=list)
    _moved_at: float | None = None
    _seen: Mapping[int, int | None] = field(default_factory=dict)

    def stalled(self, at: float, *, joined: bool, positions: Mapping[int, int | None], ends: Mapping[int, int]) -> bool:
        """Whether nothing has moved for too long although something should have.

        Standing still is: not being given partitions by the group, or having offsets before an end and passing none of
        them. A position of None is a partition of which nothing was read yet.
        """
        self.behind = [
            (partition, position or 0, ends[partition])
            for partition, position in positions.items()
            if ends.get(partition, 0) > (position or 0)
        ]
        moved = any(self._seen.get(partition) != positions[partition] for partition, _, _ in self.behind)
        self._seen = dict(positions)
        if self._moved_at is None or (joined and (moved or not self.behind)):
            self._moved_at = at
        return at - self._moved_at > self.stall_timeout_s

    def forgive(self, at: float) -> None:
        """What looked like standing still was not: count from here again."""
        self._moved_at = at
