"""The generator's own time, and the events it stamps with it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson

from tailrace.producer.clock import LOGICAL_BITS
from tailrace.workload.dice import Dice
from tailrace.workload.kinds import Kind
from tailrace.workload.records import Generated

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def rfc3339(unix_us: int) -> str:
    """Microseconds since 1970 as RFC 3339 UTC with six digits."""
    second, micro = divmod(unix_us, SECOND)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{micro:06d}Z"


class Writer:
    """Stamps events with an id, a time and a sequence, and keeps them until they are taken.

    `now` is microseconds since 1970 and rises with every event, `time` the same as text; the next event carries exactly
    these. `sequence` is `now` on the scale of the SDK's hybrid clock, so events published later by the SDK are newer.
    """

    __slots__ = ("_dice", "_fault", "_minute", "_minute_text", "_out", "count", "late", "now", "time")

    def __init__(self, dice: Dice, now_us: int) -> None:
        self._dice = dice
        self._out: list[Generated] = []
        self._fault: str | None = None
        self._minute = -1
        self._minute_text = ""
        self.count = 0
        self.late = 0
        self.now = now_us
        self.time = rfc3339(now_us)

    def advance(self, to_us: int) -> None:
        """Let it be `to_us`, unless it is later already."""
        if to_us > self.now:
            self._set(to_us)

    def after(self, microseconds: int) -> str:
        """Give the time that long from now, as text."""
        return rfc3339(self.now + microseconds)

    def new_id(self) -> str:
        """Return a UUIDv7 of now."""
        return self._dice.uuid7(self.now // 1_000)

    def emit(self, kind: Kind, key: str, subject: str, workspace_id: str | None, data: dict[str, Any]) -> None:
        """Write one event of now and let a moment pass. `data` is serialised at once and may be changed afterwards."""
        now = self.now
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": self._dice.uuid7(now // 1_000),
            "type": kind.type,
            "source": kind.sources[now & 3],
            "subject": subject,
            "time": self.time,
            "sequence": str(now << LOGICAL_BITS),
        }
        if now & 31:  # 1 is the default, so a producer may leave it out
            event["schemaversion"] = 1
        if workspace_id is not None:
            event["workspaceid"] = workspace_id
        if not now % 53:  # attributes the contract does not know are legal
            event["traceparent"] = f"00-{self._dice.bits(128):032x}-{self._dice.bits(64):016x}-01"
            event["correlationid"] = subject
        event["data"] = data
        self._out.append(Generated(kind.topic, key.encode(), orjson.dumps(event), kind.type, fault=self._fault))
        self.count += 1
        self._set(now + 1 + self._dice.bits(10))

    @contextmanager
    def back_at(self, then_us: int) -> Iterator[None]:
        """Let it be `then_us` for the events written inside; they are marked as late and counted."""
        now, count = self.now, self.count
        self._fault = "late"
        self._set(then_us)
        yield
        self._fault = None
        self.late += self.count - count
        self._set(now)

    def take(self) -> list[Generated]:
        """Return the events written since the last call, oldest first."""
        out, self._out = self._out, []
        return out

    def _set(self, now: int) -> None:
        self.now = now
        minute, rest = divmod(now, MINUTE)
        if minute != self._minute:
            self._minute = minute
            self._minute_text = rfc3339(now)[:17]
        self.time = f"{self._minute_text}{rest // SECOND:02d}.{rest % SECOND:06d}Z"
