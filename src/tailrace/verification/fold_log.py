"""The log as the model sees it: every event once, grouped by what it is about."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeVar

from tailrace.schemas.event import Event

Row = dict[str, Any]
Key = tuple[Any, ...]
Table = Mapping[Key, Row]

Column = Sequence[Any]
"""A value for each of some rows."""

TYPE_PREFIX = "collab."

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value that the rulings leave open between a few."""

    values: tuple[Any, ...]


class FreeRow(Row):
    """A row that may exist or not (ruling 14); where it exists, the columns given here must match."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, by column: their keys' parts, what they differ in, and what is the same in all of them."""

    keys: tuple[Column, ...]
    columns: Mapping[str, Column]
    same: Mapping[str, Any]


class ColumnTable(Mapping[Key, Row], ABC):
    """A table most of whose rows nobody has to make: as columns they cost a fraction."""

    @abstractmethod
    def rows(self) -> Iterator[tuple[Key, Row]]:
        """Those rows that `columns` does not give."""

    @abstractmethod
    def columns(self, size: int) -> Iterator[Chunk]:
        """The others, so many at a time."""


def rank(event: Event) -> tuple[int, str]:
    """Order of Rule R: by sequence, ties by the greater event id, whose canonical text sorts like its bytes (5)."""
    return event.sequence, event.id


def latest(events: Iterable[Event]) -> Event | None:
    """The event that holds a register: the one of the highest rank, None if there is none."""
    return max(events, key=rank, default=None)


def earliest(events: Iterable[Event]) -> Event | None:
    """The event of the lowest rank, None if there is none."""
    return min(events, key=rank, default=None)


def newest_time(*events: Event | None) -> datetime | None:
    """Greatest `time` among the events given (ruling 10: `updated_at`), None if there is none."""
    times = [event.time for event in events if event is not None]
    return max(times) if times else None


def time_of(event: Event | None) -> datetime | None:
    """`time` of the event, None if there is no event."""
    return event.time if event else None


def columns_of(event: Event | None, names: Sequence[str]) -> Row:
    """The named fields of the event's data; all None while there is no event (ruling 11)."""
    data = event.data if event else {}
    return {name: data.get(name) for name in names}


class Subject:
    """All events about one thing, by type ("message.edited"), each list in the order of the log."""

    __slots__ = ("_by_type",)

    def __init__(self) -> None:
        self._by_type: dict[str, list[Event]] = {}

    def add(self, name: str, event: Event) -> None:
        """Append an event; the caller goes through each type in the order of the log."""
        self._by_type.setdefault(name, []).append(event)

    def all(self, *names: str) -> list[Event]:
        """Events of the named types, one type after the other."""
        return [event for name in names for event in self._by_type.get(name, ())]

    def last(self, *names: str) -> Event | None:
        """The event of the named types with the highest rank: the holder of their register."""
        return latest(self.all(*names))

    def first(self, *names: str) -> Event | None:
        """The event of the named types with the lowest rank."""
        return earliest(self.all(*names))


class Log:
    """Every event once: "the same id is the same event", so of several with one id the first in the log counts."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._by_type: defaultdict[str, list[Event]] = defaultdict(list)
        by_type, seen = self._by_type, set[str]()
        for event in sorted(events, key=attrgetter("topic", "partition", "offset")):
            if event.id not in seen:
                seen.add(event.id)
                by_type[event.type].append(event)

    def of(self, *names: str) -> list[Event]:
        """Events of the named types, one type after the other, each in the order of the log."""
        return [event for name in names for event in self._by_type.get(TYPE_PREFIX + name, ())]

    def subjects(self, *names: str, by: Callable[[Event], K | None]) -> dict[K, Subject]:
        """Group the events of the named types by what `by` gives; those for which it gives None are left out."""
        found: defaultdict[K, Subject] = defaultdict(Subject)
        for name in names:
            for event in self._by_type.get(TYPE_PREFIX + name, ()):
                key = by(event)
                if key is not None:
                    found[key].add(name, event)
        return dict(found)


def by_fields(*fields: str) -> Callable[[Event], Key]:
    """Key made of the named fields of an event's data."""
    return lambda event: tuple(event.data[field] for field in fields)
