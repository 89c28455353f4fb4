"""What can be seen at one moment of the demo, and how fast it moves."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

RATE_WINDOW_S: Final = 2.0

WorkerState = Literal["starting", "running", "killed", "restarted"]


@dataclass(slots=True)
class Scene:
    """The stream as it is now, in records of this run; `lag` counts what waited before, too. Rates are per second.

    `total` is how many there will be, about; exact once all are published.
    """

    total: int
    published: int = 0
    all_published: bool = False
    applied: int = 0
    lag: int = 0
    worker: WorkerState = "starting"
    published_rate: float = 0.0
    applied_rate: float = 0.0
    applied_rate_max: float = 0.0
    _seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    @property
    def share(self) -> float:
        """How much is done, 0 … 1: publishing is one half, applying the other."""
        return (self.published + self.applied) / (2 * max(1, self.total, self.published))

    @property
    def is_caught_up(self) -> bool:
        """Whether everything is in the log and nothing of it waits."""
        return self.all_published and self.lag == 0

    def look(self, now: float, *, published: int, moved: int, backlog: int) -> None:
        """Take in what is seen at `now`, in seconds of a clock that only rises, and work out the rates.

        `moved` records were applied since the start, of which the first `backlog` had waited before it.
        """
        self.published = published
        self.applied = min(published, max(0, moved - backlog))
        self.lag = max(0, backlog + published - moved)
        self._seen.append((now, self.published, self.applied))
        while now - self._seen[0][0] > RATE_WINDOW_S and len(self._seen) > 2:  # noqa: PLR2004 - both ends
            self._seen.popleft()
        then, published, applied = self._seen[0]
        if now > then:
            self.published_rate = (self.published - published) / (now - then)
            self.applied_rate = (self.applied - applied) / (now - then)
        if now - then >= RATE_WINDOW_S / 2:
            self.applied_rate_max = max(self.applied_rate_max, self.applied_rate)
