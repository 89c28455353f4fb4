"""Differences of stores that follow the tables, under which keys and documents change while they are looked at.

A difference counts only if it stands still: seen after the follower has passed a moment, while the log asked for the
same before and after it was seen. What never stands still within the bounds is unsettled, and no difference.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tailrace.operations.database import connection
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names
from tailrace.verification.compare import Difference, TableReport, compare_rows
from tailrace.verification.compare_redis import IDS, PREFIX, Found, RedisKeys, compare_family, shown
from tailrace.verification.compare_search import SPECS, Searched
from tailrace.verification.fold_caches import fold_caches
from tailrace.verification.fold_documents import search_documents
from tailrace.verification.fold_log import Key
from tailrace.verification.moments import GrowingLog, Known, moment_now
from tailrace.verification.reading import Offsets
from tailrace.verification.scope import Selection

ROUNDS_MAX: Final = 6
PASS_TIMEOUT_S: Final = 60.0
"""Time for a follower to pass a moment; one that stands still for `STILL_S` is not waited for any longer."""
STILL_S: Final = 5.0
POLL_S: Final = 0.1
NO_LIMIT: Final = 10**9

Item = Any
"""What a store gives of one key: for Redis (key, value), for Elasticsearch a row."""


class Store(Protocol):
    """A store that follows the tables. Names are those of comparisons."""

    projection: str

    def now(self) -> datetime:
        """Time by which lifetimes are judged, aware UTC."""
        ...

    def expected(self, known: Known, now: datetime) -> Mapping[str, Mapping[Key, Any]]:
        """What must be there, by name."""
        ...

    def found(self, name: str, keys: Collection[Key] | None = None) -> Iterable[Item]:
        """What is there: everything, or of these keys."""
        ...

    def is_in(self, selection: Selection, name: str, item: Item) -> bool:
        """Whether an item is in the scope."""
        ...

    def compare(self, name: str, wanted: Mapping[Key, Any], found: Iterable[Item], now: datetime) -> TableReport:
        """All differences between the two."""
        ...


class RedisStore:
    """The keys."""

    projection = "redis"

    def __init__(self, keys: RedisKeys) -> None:
        self._keys = keys

    def now(self) -> datetime:
        """The server's clock."""
        return self._keys.now()

    def expected(self, known: Known, now: datetime) -> Mapping[str, Mapping[Key, Any]]:
        """Keys by family."""
        families = fold_caches(known.events, known.tables, now).families
        return {f"{PREFIX}{family}": keys for family, keys in families.items()}

    def found(self, name: str, keys: Collection[Key] | None = None) -> Iterable[tuple[Key, Found]]:
        """Keys of a family."""
        family = name.removeprefix(PREFIX)
        return self._keys.family(family) if keys is None else self._keys.these(family, keys)

    def is_in(self, selection: Selection, name: str, item: Item) -> bool:
        """By the ids in the key's name and in its value."""
        family, (key, one) = name.removeprefix(PREFIX), item
        value = shown(family, one) if isinstance(one, Found) else one.value
        is_about_ids = family in {"session", "connection"} and isinstance(value, dict)
        lists_key = family == "recent_messages" and selection.lists_key(key[0])
        return selection.has(IDS[family], key, value if is_about_ids else {}, lists_key=lists_key)

    def compare(self, name: str, wanted: Mapping[Key, Any], found: Iterable[Item], now: datetime) -> TableReport:
        """See `compare_family`."""
        return compare_family(name.removeprefix(PREFIX), dict(wanted), found, limit=NO_LIMIT, now=now)


class SearchStore:
    """The documents."""

    projection = "search"

    def __init__(self, searched: Searched) -> None:
        self._searched = searched

    def now(self) -> datetime:
        """The clock of this process: of documents, only files have an end, and theirs may be missed."""
        return datetime.now(UTC)

    def expected(self, known: Known, now: datetime) -> Mapping[str, Mapping[Key, Any]]:
        """Documents by alias."""
        return search_documents(known.tables, now)

    def found(self, name: str, keys: Collection[Key] | None = None) -> Iterable[Item]:
        """Documents behind an alias."""
        return self._searched.documents(name, keys)

    def is_in(self, selection: Selection, name: str, item: Item) -> bool:
        """By what the document says."""
        width = len(SPECS[name].key)
        return selection.has(
            SPECS[name].key, tuple(item[:width]), dict(zip(SPECS[name].columns, item[width:], strict=True))
        )

    def compare(self, name: str, wanted: Mapping[Key, Any], found: Iterable[Item], now: datetime) -> TableReport:
        """See `compare_rows`."""
        del now
        return compare_rows(SPECS[name], dict(wanted), found, limit=NO_LIMIT)


Suspects = dict[str, dict[Key, Difference]]


@dataclass(slots=True)
class Settled:
    """Reports of the comparisons, and how many suspects of each never stood still."""

    reports: dict[str, TableReport] = field(default_factory=dict)
    unsettled: dict[str, int] = field(default_factory=dict)


class Follower:
    """One store, compared with a log that grows."""

    def __init__(self, settings: Settings, store: Store, log: GrowingLog, selection: Selection) -> None:
        self._settings = settings
        self._store = store
        self._log = log
        self._selection = selection

    def compare(self, names: Collection[str], known: Known, limit: int) -> Settled:
        """Compare everything once, and what differs until it stands still."""
        settled, suspects = Settled(), {}
        now = self._store.now()
        expected = self._store.expected(known, now)
        for name in names:
            wanted = {key: one for key, one in expected[name].items() if self._wants(name, key, one)}
            found = (one for one in self._store.found(name) if self._is_in(name, one))
            report = self._store.compare(name, wanted, found, now)
            suspects[name] = {_key(one): one for one in report.differences}
            settled.reports[name] = TableReport(limit, report.checked)
        del expected
        for _ in range(ROUNDS_MAX):
            suspects = {name: those for name, those in suspects.items() if those}
            if suspects:
                suspects = self._look_again(suspects, settled)
        settled.unsettled = {name: len(those) for name, those in suspects.items() if those}
        return settled

    def _wants(self, name: str, key: Key, one: Any) -> bool:
        if self._selection.scope.is_everything:
            return True
        if isinstance(one, dict):
            return self._selection.has(SPECS[name].key, key, one)
        return self._store.is_in(self._selection, name, (key, one))

    def _is_in(self, name: str, item: Item) -> bool:
        return self._selection.scope.is_everything or self._store.is_in(self._selection, name, item)

    def _look_again(self, suspects: Suspects, settled: Settled) -> Suspects:
        """One round; what is settled goes into the reports, what is not is given back."""
        before = moment_now(self._settings)
        _let_pass(self._settings, self._store.projection, before.positions)
        now = self._store.now()
        found = {name: list(self._store.found(name, those)) for name, those in suspects.items()}
        after = moment_now(self._settings)
        self._log.reach(after.positions)  # what the keys are made of may be newer than what was read so far
        channels = _channels(suspects, self._log.reading.events)
        early = self._judge(self._log.known(before, channels), suspects, found, now)
        is_quiet = before.positions == after.positions
        late = early if is_quiet else self._judge(self._log.known(after, channels), suspects, found, now)
        left: Suspects = {}
        for name, those in suspects.items():
            for key, last in those.items():
                seen, seen_later = early[name].get(key), late[name].get(key)
                if seen is None or seen_later is None:
                    continue  # it is what the log asked for, at one end of the look or the other
                if seen == seen_later and (is_quiet or seen.found == last.found):
                    settled.reports[name].add(seen)
                else:
                    left.setdefault(name, {})[key] = seen_later
        return left

    def _judge(self, known: Known, suspects: Suspects, found: Mapping[str, list[Item]], now: datetime) -> Suspects:
        expected = self._store.expected(known, now)
        judged: Suspects = {}
        for name, those in suspects.items():
            wanted = {key: expected[name][key] for key in those if key in expected[name]}
            report = self._store.compare(name, wanted, found[name], now)
            judged[name] = {_key(one): one for one in report.differences}
        return judged


def _key(difference: Difference) -> Key:
    if "key" in difference.key:
        return tuple(str(difference.key["key"]).split(":"))
    return tuple(difference.key.values())


def _channels(suspects: Suspects, events: Iterable[Event]) -> set[str]:
    """Channels whose conversations these keys are made of, by the ids in them."""
    ids = {str(part) for those in suspects.values() for key in those for part in key}
    return set(_named(ids, events))


def _named(ids: Collection[str], events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        data = event.data
        channel_id = data.get("channel_id")
        if channel_id is None or event.topic == "activity":
            continue
        is_of_user = event.type.startswith("collab.channel") and data.get("user_id") in ids
        if is_of_user or channel_id in ids or data.get("message_id") in ids or data.get("file_id") in ids:
            yield channel_id


def _let_pass(
    settings: Settings, projection: str, positions: Offsets, clock: Callable[[], float] = time.monotonic
) -> None:
    """Return when the follower has passed these positions, and its open jobs are done; or when nothing moves there."""
    text = render(queries("positions")["open_search_jobs"], schema_names(settings.postgres)).encode()
    deadline, moved_at, last = clock() + PASS_TIMEOUT_S, clock(), None
    while clock() < deadline and clock() - moved_at < STILL_S:
        own = moment_now(settings).by_projection.get(projection, {})
        with connection(settings) as conn:
            jobs = (conn.execute(text).fetchone() or (0,))[0] if projection == "search" else 0
        behind = sum(max(0, at - own[place]) for place, at in positions.items() if place in own)
        if not behind and not jobs:
            return
        if (behind, jobs) != last:
            moved_at, last = clock(), (behind, jobs)
        time.sleep(POLL_S)
