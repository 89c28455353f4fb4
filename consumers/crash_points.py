"""Places where a worker can be made to die at once, so that tests can kill it between any two steps.

`TAILRACE_CRASH_AT=committed:3` kills the process when it gets to that place for the third time. Nothing else reads the
variable, and without it a place costs one look at an empty dictionary.
"""

import os
import signal
from typing import Final, Literal, get_args

ENVIRONMENT: Final = "TAILRACE_CRASH_AT"

Point = Literal[
    "claimed",  # a new epoch is issued, nothing was read under it
    "drained",  # partitions are given up, what was decoded is applied
    "begun",  # a transaction is open and empty
    "advanced",  # progress is moved, its effects are not there
    "applied",  # effects are there, dead letters are not
    "complete",  # everything is there but COMMIT
    "committed",  # nobody outside of the store knows yet
    "told_kafka",  # the advisory commit is through
    "relayed",  # dead letters are in the topic, and not marked so
    "cached",  # Redis is written, progress is not moved
    "indexed",  # Elasticsearch is written, progress is not moved
    "followed",  # a follower's progress is committed
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)


def _armed(text: str) -> dict[str, int]:
    """Times that are left, by point. Raises `ValueError` for a place that does not exist: it would never be reached."""
    if not text:
        return {}
    point, _, times = text.partition(":")
    if point not in POINTS:
        raise ValueError(f"{ENVIRONMENT}: no such place; one of {', '.join(POINTS)}")
    return {point: int(times or 1)}


_left = _armed(os.environ.get(ENVIRONMENT, ""))


def crash_point(name: Point) -> None:
    """Die here if that was asked for: no handler, no `finally`, no word to anybody."""
    if name in _left:
        _left[name] -= 1
        if _left[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
