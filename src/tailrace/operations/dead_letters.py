"""Dead letters as a person meets them: found, shown, and discarded. Sending them back is in `redriving`."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
import structlog
from psycopg.rows import dict_row

from tailrace.errors import NotFoundError, PreconditionError, UsageError
from tailrace.operations.audit import actor
from tailrace.operations.database import connection
from tailrace.schemas.catalogue import TOPICS
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

log = structlog.get_logger(__name__)

PART_MAX: Final = 500
"""So many letters are taken in one transaction."""
BEHIND_SHOWN_MAX: Final = 100

_EVENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLACE = re.compile(r"(.+)/(\d{1,9})/(\d{1,18})")

Key = tuple[str, str, int, int]
"""Projection, topic (full name), partition, offset: what names a row."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which letters are meant: all that fit everything given. Topics with or without prefix, times aware UTC.

    `ids` are topic/partition/offset of the refused record, or ids of events.
    """

    ids: tuple[str, ...] = ()
    projection: str | None = None
    codes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    workspace: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    topic: str | None = None
    partition: int | None = None
    key: bytes | None = None

    @property
    def selects_all(self) -> bool:
        """Nothing is given."""
        return self == Selector()

    def parameters(self, settings: Settings, *, only_open: bool) -> tuple[Any, ...]:
        """What the queries take. Raises `UsageError` for an id that is none."""
        events, places = [], []
        for one in self.ids:
            if _EVENT_ID.fullmatch(one):
                events.append(one)
            elif place := _PLACE.fullmatch(one):
                places.append(f"{_full(settings, place[1])}/{int(place[2])}/{int(place[3])}")
            else:
                raise UsageError(f"{one!r} names no dead letter", fix="topic/partition/offset, or the id of an event")
        return (
            events if self.ids else None,
            places if self.ids else None,
            self.projection,
            list(self.codes) or None,
            [one if one.startswith("collab.") else f"collab.{one}" for one in self.types] or None,
            self.workspace,
            self.since,
            self.before,
            None if self.topic is None else _full(settings, self.topic),
            self.partition,
            self.key,
            only_open,
        )


def _full(settings: Settings, topic: str) -> str:
    return settings.topic(topic) if topic in {spec.name for spec in TOPICS} else topic


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of `runtime.dead_letters` without what the record holds; `behind` events wait for it. Times are UTC."""

    projection: str
    topic: str
    partition: int
    offset: int
    code: str
    reason: str
    event_type: str | None
    event_id: str | None
    workspace_id: str | None
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    append_time: datetime | None
    subject: str | None
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None
    resolved_reason: str | None
    behind: int

    @property
    def id(self) -> str:
        """topic/partition/offset of the record."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def state(self) -> str:
        """`open`, or how it was resolved: `redriven`, `applied` or `discarded`."""
        return "open" if self.resolved_at is None else self.resolution or "resolved"

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"id": self.id, "state": self.state, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Page:
    """Some letters, newest first; `after` asks for the next page, None on the last."""

    letters: tuple[Letter, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a refused record holds, and what became of it. `behind` are the first `BEHIND_SHOWN_MAX` that wait."""

    letter: Letter
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    history: list[dict[str, Any]]
    behind: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Count:
    """How many letters a selector means, and how many events wait behind them."""

    by_code: Mapping[str, int]
    behind: int
    oldest: datetime | None

    @property
    def letters(self) -> int:
        """All of them."""
        return sum(self.by_code.values())


class Letters:
    """The queries on one connection; each call is a transaction of its own unless one is open."""

    def __init__(self, conn: psycopg.Connection, settings: Settings) -> None:
        self.conn = conn
        self.settings = settings
        names = schema_names(settings.postgres)
        self._texts = {name: render(text, names).encode() for name, text in queries("dead_letters").items()}

    def run(self, name: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows of a named query; raises `PreconditionError` where the tables are missing or older than this."""
        try:
            cursor = psycopg.RawCursor(self.conn, row_factory=dict_row).execute(self._texts[name], parameters)
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise PreconditionError("the tables are older than this program", fix="tailrace db migrate") from error
        return cursor.fetchall() if cursor.description else []

    def parts(self, selector: Selector) -> Iterator[list[dict[str, Any]]]:
        """Open letters with what their records hold, in the order of the log, `PART_MAX` at a time."""
        parameters = selector.parameters(self.settings, only_open=True)
        after: tuple[Any, ...] = (None, None, None, None)
        while rows := self.run("next_letters", *parameters, *after, PART_MAX):
            yield rows
            last = rows[-1]
            after = last["topic"], last["partition"], last["offset"], last["projection"]


@contextmanager
def letters(settings: Settings) -> Iterator[Letters]:
    """The queries on a connection of their own."""
    with connection(settings) as conn:
        yield Letters(conn, settings)


def keys(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Any], ...]:
    """Columns projection, topic, partition, offset."""
    names = ("projection", "topic", "partition", "offset")
    taken = [[row[name] for name in names] for row in rows]
    return tuple(list(column) for column in zip(*taken, strict=True)) if taken else ([], [], [], [])


def find(settings: Settings, selector: Selector, *, limit: int, after: str | None = None, closed: bool = False) -> Page:
    """A page of letters, newest first; with `closed` those that are resolved, too."""
    with letters(settings) as asked:
        rows = asked.run("find_letters", *selector.parameters(settings, only_open=not closed), *_at(after), limit + 1)
    found = tuple(Letter(**row) for row in rows[:limit])
    return Page(found, _cursor(found[-1]) if len(rows) > limit else None)


def _cursor(letter: Letter) -> str:
    at = [letter.last_failed_at.isoformat(), letter.projection, letter.topic, letter.partition, letter.offset]
    return base64.urlsafe_b64encode(json.dumps(at).encode()).decode()


def _at(after: str | None) -> Sequence[Any]:
    if after is None:
        return (None,) * 5
    try:
        time, *place = json.loads(base64.urlsafe_b64decode(after))
        return datetime.fromisoformat(time), *place
    except (ValueError, TypeError) as error:
        raise UsageError("--after takes what the page before printed") from error


def count(settings: Settings, selector: Selector, *, closed: bool = False) -> Count:
    """How many letters are meant; changes nothing."""
    with letters(settings) as asked:
        rows = asked.run("count_letters", *selector.parameters(settings, only_open=not closed))
    by_code = {row["code"]: row["letters"] for row in rows}
    return Count(by_code, sum(row["behind"] for row in rows), min((row["oldest"] for row in rows), default=None))


def must_be_known(settings: Settings, selector: Selector) -> None:
    """Raise `NotFoundError` for an id that names no letter, open or resolved."""
    with letters(settings) as asked:
        for one in selector.ids:
            parameters = Selector(ids=(one,)).parameters(settings, only_open=False)
            if not asked.run("count_letters", *parameters):
                raise NotFoundError(f"no dead letter {one}", fix="tailrace dlq ls --closed")


def show(settings: Settings, letter_id: str, *, projection: str | None = None) -> Contents:
    """One letter with everything; of several projections that refused the record, `postgres` unless one is named.

    Raises `NotFoundError`. What the record holds may be personal: show it only to who asked, and note that with
    `revealed`.
    """
    selector = Selector(ids=(letter_id,), projection=projection)
    with letters(settings) as asked:
        rows = asked.run("find_letters", *selector.parameters(settings, only_open=False), *_at(None), 100)
        if not rows:
            raise NotFoundError(f"no dead letter {letter_id}", fix="tailrace dlq ls --closed")
        one = min((Letter(**row) for row in rows), key=lambda it: (it.projection != "postgres", it.projection))
        place = one.projection, one.topic, one.partition, one.offset
        (held,) = asked.run("letter_contents", *place)
        behind = asked.run("events_behind", one.projection, one.event_id, BEHIND_SHOWN_MAX) if one.behind else []
    headers = tuple((name, base64.b64decode(value)) for name, value in held["headers"])
    return Contents(one, held["key"], held["raw"], headers, held["history"], behind)


def revealed(settings: Settings, letter: Letter) -> None:
    """Note that somebody looked at what the record holds."""
    log.info("dead_letter_revealed", letter=letter.id, projection=letter.projection, by=actor())
    with letters(settings) as asked:
        place = [letter.projection], [letter.topic], [letter.partition], [letter.offset]
        asked.run("note_on_letters", *place, "revealed", actor(), None)


def discard(settings: Settings, selector: Selector, reason: str) -> int:
    """Resolve open letters without applying them; what waits behind them is released by the worker. How many."""
    by, done = actor(), 0
    with letters(settings) as asked:
        for rows in asked.parts(selector):
            columns = keys(rows)
            with asked.conn.transaction():
                # The positions first, as workers take them: what they read later is not discarded.
                asked.run("hold_positions", *columns[:3])
                done += len(asked.run("discard_letters", *columns, by, reason))
    log.info("dead_letters_discarded", letters=done, by=by, reason=reason)
    return done


def utc(text: str, now: datetime) -> datetime:
    """A time from RFC 3339, or a span such as 24h, 30m, 7d before `now`. Raises `UsageError`."""
    if span := re.fullmatch(r"(\d{1,6})([smhd])", text):
        seconds = int(span[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[span[2]]
        return datetime.fromtimestamp(now.timestamp() - seconds, UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time", fix="2026-11-20T12:00:00Z, or a span such as 24h") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
