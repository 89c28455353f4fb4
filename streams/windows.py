"""Windows over panes: every window is a run of whole minutes, so an event is counted once, in its minute's pane.

Times are whole seconds since 1970, UTC.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

PANE_S: Final = 60


class Shape(NamedTuple):
    """Windows of `size` seconds that begin every `hop` seconds; both are multiples of a pane."""

    size: int
    hop: int


SHAPES: Final = (Shape(60, 60), Shape(300, 60), Shape(3_600, 300))
"""One minute tumbling, five and sixty minutes hopping."""
LONGEST_S: Final = max(shape.size for shape in SHAPES)
GRACE_S: Final = 600
"""An event counts until the newest one is this much later than the end of its minute."""


class Window(NamedTuple):
    """One window of one channel, ordered by its end."""

    end: int
    channel_id: str
    size: int

    @property
    def start(self) -> int:
        """Its first second."""
        return self.end - self.size


@dataclass(slots=True)
class Pane:
    """What happened in a channel in one minute. `revision` is the sequence of the last record that added to it."""

    workspace_id: str
    revision: int = 0
    messages: set[str] = field(default_factory=set)
    reactions: set[tuple[str, str, str]] = field(default_factory=set)
    users: set[str] = field(default_factory=set)


class Counts(NamedTuple):
    """What is in a window: distinct messages, distinct (message, user, emoji), distinct people."""

    workspace_id: str
    revision: int
    messages: int
    reactions: int
    active_users: int


def pane_of(second: float) -> int:
    """First second of the minute."""
    return int(second // PANE_S) * PANE_S


def windows_with(channel_id: str, pane: int) -> Iterator[Window]:
    """All windows that hold this pane of the channel."""
    for size, hop in SHAPES:
        newest = pane // hop * hop
        for start in range(newest, pane + PANE_S - size - 1, -hop):
            if start + size > pane:
                yield Window(start + size, channel_id, size)


class Panes:
    """The panes of one partition that may still count for a window, and the windows that changed.

    `watermark` is the newest event time so far, but never later than the broker's append time: one producer whose clock
    runs ahead must not make everybody else late.
    """

    def __init__(self) -> None:
        self.watermark = 0.0
        self._panes: dict[str, dict[int, Pane]] = {}
        self._channels: dict[int, set[str]] = {}
        self._touched: set[tuple[str, int]] = set()
        self._pending: set[Window] = set()
        self._by_end: list[Window] = []

    def open(self, channel_id: str, workspace_id: str, time: float, appended: float, revision: int) -> Pane | None:
        """The pane of an event at that time; None where it is too late to count."""
        pane = pane_of(time)
        is_late = pane + PANE_S + GRACE_S <= self.watermark
        if (seen := min(time, appended)) > self.watermark:
            self.watermark = seen
        if is_late:
            return None
        panes = self._panes.setdefault(channel_id, {})
        held = panes.get(pane)
        if held is None:
            held = panes[pane] = Pane(workspace_id)
            self._channels.setdefault(pane, set()).add(channel_id)
        held.revision = revision
        self._touched.add((channel_id, pane))
        return held

    def closed(self, until: float) -> Iterator[tuple[Window, Counts]]:
        """Windows that ended by then and changed since they were last given out."""
        for channel_id, pane in self._touched:
            for window in windows_with(channel_id, pane):
                if window not in self._pending:
                    self._pending.add(window)
                    heapq.heappush(self._by_end, window)
        self._touched.clear()
        while self._by_end and self._by_end[0].end <= until:
            window = heapq.heappop(self._by_end)
            self._pending.discard(window)
            yield window, self._count(window)
        self._evict()

    def _count(self, window: Window) -> Counts:
        panes = self._panes[window.channel_id]
        inside = [panes[at] for at in range(window.start, window.end, PANE_S) if at in panes]
        messages: set[str] = set().union(*(pane.messages for pane in inside))
        reactions: set[tuple[str, str, str]] = set().union(*(pane.reactions for pane in inside))
        users: set[str] = set().union(*(pane.users for pane in inside))
        newest = max(inside, key=lambda pane: pane.revision)
        return Counts(newest.workspace_id, newest.revision, len(messages), len(reactions), len(users))

    def _evict(self) -> None:
        """Forget panes of which no window can change any more."""
        # The last window with a pane ends LONGEST_S after the pane began; its last pane takes events for GRACE_S more.
        over = [at for at in self._channels if at + LONGEST_S + GRACE_S <= self.watermark]
        for at in over:
            for channel_id in self._channels.pop(at):
                panes = self._panes[channel_id]
                del panes[at]
                if not panes:
                    del self._panes[channel_id]
