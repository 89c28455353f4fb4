"""Look at records of a topic: a stretch of it, those that fit some conditions."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tailrace.errors import UsageError
from tailrace.operations.scanning import Bound, Found, Scanned, ranges, scan
from tailrace.settings import Settings

SCAN_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Condition:
    """A path of an event and the text its value must have, such as `data.channel_id` and an id."""

    path: tuple[str, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read `data.channel_id=…`; `key=…` is the record's key. Raises `UsageError`."""
        path, equals, wanted = text.partition("=")
        if not equals or not path.strip():
            raise UsageError(f"{text!r} is no condition", fix="--where 'data.channel_id=…', 'type=…' or 'key=…'")
        return cls(tuple(path.strip().split(".")), wanted.strip())

    def holds(self, record: Found, document: Any) -> bool:
        """Whether the record fits; what lacks the path does not."""
        if self.path == ("key",):
            return (record.key or b"").decode("utf-8", "replace") == self.text
        value = document
        for name in self.path:
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name]
        return _text(value) == self.text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def document_of(value: bytes | None) -> Any:
    """The JSON of a value; None where it is none."""
    try:
        return None if value is None else orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


async def peek(  # noqa: PLR0913 - each is an option of the command
    settings: Settings,
    topic: str,
    *,
    first: Bound | None = None,
    last: Bound | None = None,
    count: int = 20,
    where: Sequence[Condition] = (),
    scan_max: int = SCAN_MAX,
) -> tuple[list[Found], Scanned]:
    """Records of a topic (with or without prefix) in the order of their append times, and how much was read.

    With `first`: the first `count` from there on. Without: the newest `count` of what `scan_max` records at the end
    hold. Raises `NotFoundError` for a topic that there is not, `UnreachableError`.
    """
    stretch = await ranges(settings, [topic], first or Bound(), last or Bound())
    if first is None:
        each = max(1, (scan_max if where else count * len(stretch)) // max(1, len(stretch)))
        stretch = {place: (max(low, high - each), high) for place, (low, high) in stretch.items()}
    hits: list[Found] = []

    def visit(record: Found) -> bool:
        if not where or _fits(record, where):
            hits.append(record)
        return first is not None and len(hits) >= count

    scanned = await scan(settings, stretch, scan_max, visit)
    newest = hits if first is not None else heapq.nlargest(count, hits, key=_order)
    return sorted(newest, key=_order), scanned


def _fits(record: Found, where: Sequence[Condition]) -> bool:
    document = document_of(record.value)
    return all(condition.holds(record, document) for condition in where)


def _order(record: Found) -> tuple[Any, int, int]:
    return record.append_time, record.partition, record.offset
