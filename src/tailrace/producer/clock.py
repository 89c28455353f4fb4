"""The clocks an event is stamped with: wall time in microseconds and the hybrid logical clock of `sequence`."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tailrace.errors import PreconditionError
from tailrace.producer.errors import ClockDrift

LOGICAL_BITS: Final = 11
"""52 bits of microseconds since 1970 (enough until 2112) and 11 logical bits fill the 63 of `sequence`."""
SEQUENCE_MAX: Final = 2**63 - 1
DRIFT_MAX_S: Final = 600.0
"""As far as `E_TIME` lets an event's own time run ahead: a clock that was wrong by more had its events refused."""
RESERVED_US: Final = 10_000_000
"""The state file is written once per this much of wall time, not once per event."""
_DIGITS: Final = 20


def wall_clock_us() -> int:
    """Read the wall clock: whole microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1_000


class ClockFile:
    """Where one producer keeps the highest `sequence` it may have given out; held by one process at a time.

    The file stores a mark ahead of the values in use, so a crash loses nothing: the next owner starts above the mark.
    Raises `PreconditionError` when another process holds the file or its content is not a mark.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.mark = self._read()
        except BlockingIOError as error:
            os.close(self._fd)
            raise PreconditionError(
                f"another process uses the clock state {path}", fix="give every producer process a file of its own"
            ) from error
        except BaseException:
            os.close(self._fd)
            raise

    def _read(self) -> int:
        text = os.pread(self._fd, _DIGITS + 1, 0)
        if not text:
            return 0
        if not text.strip().isdigit() or (mark := int(text)) > SEQUENCE_MAX:
            raise PreconditionError(
                f"{self.path} does not hold a clock mark", fix=f"remove {self.path} if the wall clock was not set back"
            )
        return mark

    def write(self, mark: int) -> None:
        """Store a mark durably; one fixed-width write inside one sector, so a crash leaves the old one or the new."""
        os.pwrite(self._fd, f"{mark:0{_DIGITS}d}\n".encode(), 0)
        os.fsync(self._fd)
        self.mark = mark

    def close(self) -> None:
        """Give the file back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class HybridClock:
    """Gives out the `sequence` of events: strictly rising, close to wall time, never backwards.

    A value is `microseconds << 11 | logical`. Where the wall clock stands still or goes back, the logical part counts
    on from the last value (hybrid logical clocks, Kulkarni et al. 2014). With a `ClockFile` this holds across restarts
    and crashes of the producer too. Not for use from several threads at once.

    Raises `ClockDrift` rather than give out or take over a value more than `drift_max_s` ahead of the wall clock.
    """

    def __init__(
        self,
        *,
        now_us: Callable[[], int] = wall_clock_us,
        drift_max_s: float = DRIFT_MAX_S,
    ) -> None:
        self._now_us = now_us
        self._drift_max_us = int(drift_max_s * 1_000_000)
        self._state: ClockFile | None = None
        self.last = 0
        """The highest value given out or seen; 0 before the first."""

    def attach(self, state: ClockFile) -> None:
        """Go on above the file's mark and keep it from here on; the clock closes it."""
        self._state = state
        self.last = max(self.last, state.mark)

    def next(self) -> int:
        """Return the next value: 1 … 2^63-1, above every value returned or observed before."""
        now = self._now_us()
        value = max(self.last + 1, now << LOGICAL_BITS)
        self._check(value, now)
        if self._state and value > self._state.mark:
            self._state.write(min(value + (RESERVED_US << LOGICAL_BITS), SEQUENCE_MAX))
        self.last = value
        return value

    def observe(self, sequence: int) -> None:
        """Let the next value be above `sequence`, e.g. one read from the log."""
        if sequence > self.last:
            self._check(sequence, self._now_us())
            self.last = sequence

    def close(self) -> None:
        """Store the last value exactly and release the state file."""
        if self._state:
            self._state.write(self.last)
            self._state.close()
            self._state = None

    def _check(self, value: int, now: int) -> None:
        ahead_us = (value >> LOGICAL_BITS) - now
        if ahead_us > self._drift_max_us or value > SEQUENCE_MAX:
            raise ClockDrift(ahead_us / 1_000_000, self._drift_max_us / 1_000_000)
