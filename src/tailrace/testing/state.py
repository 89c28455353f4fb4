"""What events lead to: rows, keys and documents, folded from them alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tailrace.producer import EventRefused, Publishable, Record
from tailrace.schemas.catalogue import INBOUND, topic_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.testing.recording import RecordingProducer
from tailrace.verification.fold import fold
from tailrace.verification.fold_caches import Caches, Expected, fold_caches
from tailrace.verification.fold_documents import search_documents
from tailrace.verification.fold_log import Row, Table
from tailrace.verification.fold_notifications import notifications
from tailrace.verification.fold_trends import trends
from tailrace.verification.tables import NOTIFICATIONS, TABLES, TRENDS

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **{table.name: table.key for table in TABLES},
    NOTIFICATIONS: ("notification_id",),
    TRENDS: ("channel_id", "window_seconds", "window_start"),
}


@dataclass(frozen=True, slots=True)
class State:
    """Everything that a log leads to, at one moment.

    Ids are `str`, times aware UTC `datetime`, days `date`, jsonb Python values. Where the rules leave a value open it
    is a `OneOf`, or its column is missing. `refused` are the events that do not fit the contract, by their place.
    """

    events: tuple[Event, ...]
    refused: Mapping[int, EventRefused]
    _tables: Mapping[str, Table]
    _caches: Caches
    _documents: Mapping[str, Table]

    def rows(self, table: str, **where: Any) -> list[Row]:
        """Rows of a table ("collab.messages", or without `collab.`) whose columns have these values.

        Each has its key's columns and those that follow from events, not the ones only stores have. `trends` are the
        windows of that topic. KeyError for a table that does not follow from events.
        """
        name = table.removeprefix("collab.")
        names = _KEYS[name]
        found = (dict(zip(names, key, strict=True)) | row for key, row in self._tables[name].items())
        return [row for row in found if all(row.get(column) == value for column, value in where.items())]

    def row(self, table: str, **where: Any) -> Row:
        """The one row of a table for which `where` holds; LookupError where there is none, or more than one."""
        found = self.rows(table, **where)
        if len(found) != 1:
            raise LookupError(f"{len(found)} rows of {table} fit, not one")
        return found[0]

    def keys(self) -> dict[str, Expected]:
        """Keys in Redis as the contract names them, `unread_counts:{user_id}:{workspace_id}`, without their prefix."""
        return {
            ":".join((family, *map(str, key))): expected
            for family, keys in self._caches.families.items()
            for key, expected in keys.items()
        }

    def documents(self, alias: str) -> dict[str, Row]:
        """Documents that a search in `messages`, `files` or `users` can find, by `_id`; KeyError for another alias."""
        return {":".join(map(str, key)): dict(row) for key, row in self._documents[f"search.{alias}"].items()}


def given(events: Iterable[Publishable], *, now: datetime) -> State:
    """Fold events, in the order of the log, into what the stores hold at `now` (aware).

    An event is whatever can be published: a whole CloudEvent, the short form, a draft, a model; what it lacks is filled
    in from `now` and a count. The order matters only where the rules say so, as with two postings of one message.
    """
    producer = RecordingProducer(now=now.astimezone(UTC))
    read: list[Event] = []
    refused: dict[int, EventRefused] = {}
    for place, event in enumerate(events):
        try:
            record = producer.validate(event)
        except EventRefused as error:
            refused[place] = error
        else:
            read.append(_read(record, place, now))
    tables = fold(read)
    caches, documents = fold_caches(read, tables, now), search_documents(tables, now)
    streams = {NOTIFICATIONS: notifications(read, tables), TRENDS: trends(read)}
    return State(tuple(read), refused, tables | streams, caches, documents)


def _read(record: Record, place: int, now: datetime) -> Event:
    # On the inbound topic any type is taken; which one it belongs to, the event says.
    event = decode(INBOUND, record.key, record.value, now)
    if not isinstance(event, Event):
        raise AssertionError("the producer let through what the decoder refuses")  # noqa: TRY004 - a fault of ours
    event.topic, event.partition, event.offset = topic_of(event.type), 0, place
    return event
