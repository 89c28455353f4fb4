"""Fold the log, read the tables, say what differs."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg

from tailrace.errors import PreconditionError
from tailrace.operations.database import connection
from tailrace.operations.streams import stream_positions
from tailrace.settings import Settings
from tailrace.verification.compare import Rows, TableReport, begin, compare_table, document, prepare
from tailrace.verification.compare_dead_letters import compare_dead_letters
from tailrace.verification.compare_redis import RedisKeys
from tailrace.verification.compare_search import Searched
from tailrace.verification.compare_streams import HOTTEST_MAX, compare_notifications, compare_trends, read_windows
from tailrace.verification.explaining import explain
from tailrace.verification.fold_log import FreeRow, Key, Row, Table
from tailrace.verification.moments import LEADER, GrowingLog, Known, Moment, moment, moment_now, patient_collector
from tailrace.verification.reading import TOPICS, Archive, Offsets, Reading, Source
from tailrace.verification.scope import EVERYTHING, Scope, Selection
from tailrace.verification.settling import Follower, RedisStore, SearchStore, Store
from tailrace.verification.tables import (
    DEAD_LETTERS,
    NOTIFICATIONS,
    REDIS,
    SEARCH,
    STREAMS,
    TABLES,
    TRENDS,
    TableSpec,
    chosen,
)

Watch = Callable[[str, int, int], None]
"""Told (step, done, total) while it goes on: "read" in records, "fold" in events, then each table in rows expected."""


@dataclass(slots=True)
class Verification:
    """What was compared, by table, and how many records each projection and stream still has before it.

    `hottest` are the hottest five minutes of all channels, as the trends topic tells them, where it was read.
    `positions` are the offsets to which the log was folded, by (topic without prefix, partition). `unsettled` counts,
    by table, what went on changing for as long as it was looked at: neither right nor wrong.
    """

    reports: dict[str, TableReport] = field(default_factory=dict)
    behind: dict[str, int] = field(default_factory=dict)
    hottest: list[Row] = field(default_factory=list)
    positions: Offsets = field(default_factory=dict)
    unsettled: dict[str, int] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        """Number of differences in all tables."""
        return sum(report.count for report in self.reports.values())

    def document(self) -> dict[str, Any]:
        """Give what `tailrace verify -o json` prints."""
        positions = {f"{topic}/{partition}": at for (topic, partition), at in sorted(self.positions.items())}
        return {
            **document(self.reports), "behind": self.behind, "positions": positions, "unsettled": self.unsettled
        }  # fmt: skip


def verify(
    settings: Settings,
    names: Sequence[str] = (),
    *,
    limit: int,
    watch: Watch = lambda *_: None,
    scope: Scope = EVERYTHING,
    archive: Archive | None = None,
) -> Verification:
    """Compare the named tables (all for none) with the log; keep at most `limit` differences of each.

    The tables are read in one snapshot, and the log is folded as far as they have applied it there, so live traffic is
    no difference; what a worker has not applied yet is in `behind`. What follows the tables is looked at again until
    its differences stand still. Runs its own event loop, so call it in a thread where one runs already. Raises
    `UsageError` for an unknown name, `UnreachableError`, and `PreconditionError` where topics or tables are not there.
    """
    chosen(names)  # before anything takes long
    with patient_collector():
        takes = scope.takes if scope.leaves_channels_out else None
        log = GrowingLog(settings, Source(archive, takes), lambda done, total: watch("read", done, total))
        must_be_whole(log.reading)
        return _Comparison(settings, log, scope, limit, watch).run(names)


class _Comparison:
    """One run of `verify`."""

    def __init__(self, settings: Settings, log: GrowingLog, scope: Scope, limit: int, watch: Watch) -> None:
        self._settings = settings
        self._log = log
        self._scope = scope
        self._limit = limit
        self._watch = watch
        self._outcome = Verification()

    def run(self, names: Sequence[str]) -> Verification:
        outcome = self._outcome
        streams = {f"streams.{s.name}": s.lag for s in asyncio.run(stream_positions(self._settings)) if not s.is_new}
        with connection(self._settings) as conn:
            prepare(conn)
            with conn.transaction():
                begin(conn, self._settings)
                at = moment(conn, self._settings)
                outcome.positions = at.positions
                outcome.behind = _behind(at, self._log.reading) | streams
                wanted = chosen(names) if names else chosen(names) | _running(outcome.behind)
                wanted = frozenset(name for name in wanted if not self._scope.skips(name))
                self._watch("fold", 0, len(self._log.reading.events))
                known = self._log.known(at)
                self._watch("fold", len(known.events), len(known.events))
                selection = Selection(self._scope, known.events)
                self._compare_tables(conn, wanted, known, selection)
                if NOTIFICATIONS in wanted:
                    self._watch(NOTIFICATIONS, 0, 1)
                    outcome.reports[NOTIFICATIONS] = compare_notifications(
                        conn, self._settings, known.reading, known.tables, limit=self._limit
                    )
        if TRENDS in wanted:
            self._compare_trends(known)
        self._settle_streams(at)
        self._compare_followers(wanted, known, selection)
        if DEAD_LETTERS in wanted:
            parking_limit = timedelta(seconds=self._settings.worker.parking_limit_s)
            outcome.reports[DEAD_LETTERS] = compare_dead_letters(
                known.reading, at.letters, parking_limit=parking_limit, limit=self._limit
            )
        explain(outcome.reports, self._log.reading.events)
        return outcome

    def _compare_tables(
        self, conn: psycopg.Connection[Any], wanted: frozenset[str], known: Known, selection: Selection
    ) -> None:
        for spec, table in comparable(known.tables, known.reading):
            if spec.name in wanted and selection.may_hold(spec):
                self._watch(spec.name, 0, len(table))
                report = compare_table(
                    spec,
                    selection.of_table(spec, table),
                    Rows(conn, self._settings, spec),
                    limit=self._limit,
                    in_scope=partial(selection.of_rows, spec, table),
                )
                self._outcome.reports[spec.name] = report
                self._watch(spec.name, report.checked, report.checked)

    def _compare_trends(self, known: Known) -> None:
        self._watch(TRENDS, 0, 1)
        windows = read_windows(self._settings)
        self._outcome.reports[TRENDS] = compare_trends(known.reading, windows, limit=self._limit)
        self._outcome.hottest = windows.hottest(HOTTEST_MAX)

    def _settle_streams(self, at: Moment) -> None:
        """What the streams raise and count follows at its own pace: only while all stands still does it differ."""
        moving = [name for name in STREAMS if (report := self._outcome.reports.get(name)) and report.count]
        if not moving:
            return
        lag = sum(one.lag for one in asyncio.run(stream_positions(self._settings)) if not one.is_new)
        behind = sum(count for name, count in self._outcome.behind.items() if name == LEADER or "streams" in name)
        if lag or behind or moment_now(self._settings).positions != at.positions:
            for name in moving:
                report = self._outcome.reports[name]
                self._outcome.unsettled[name] = report.count
                self._outcome.reports[name] = TableReport(self._limit, report.checked)

    def _compare_followers(self, wanted: frozenset[str], known: Known, selection: Selection) -> None:
        if searched := [name for name in SEARCH if name in wanted]:
            with Searched(self._settings) as documents:
                self._follow(SearchStore(documents), searched, known, selection)
        if cached := [name for name in REDIS if name in wanted]:
            with RedisKeys(self._settings) as keys:
                self._follow(RedisStore(keys), cached, known, selection)

    def _follow(self, store: Store, names: Sequence[str], known: Known, selection: Selection) -> None:
        self._watch(store.projection, 0, len(names))
        settled = Follower(self._settings, store, self._log, selection).compare(names, known, self._limit)
        self._outcome.reports |= settled.reports
        self._outcome.unsettled |= settled.unsettled
        self._watch(store.projection, len(names), len(names))


def _running(behind: Mapping[str, int]) -> frozenset[str]:
    """Comparisons of the projections and streams that have ever run here, beside PostgreSQL's."""
    groups = {"search": SEARCH, "redis": REDIS, **{f"streams.{name}": (name,) for name in STREAMS}}
    return frozenset(name for group, names in groups.items() if group in behind for name in names)


def must_be_whole(reading: Reading) -> None:
    """Raise `PreconditionError` if a topic that is kept for ever has lost records at its beginning."""
    cut = [topic for topic in TOPICS if topic != "signals" and not reading.is_whole(topic)]
    if cut:
        raise PreconditionError(
            f"the log has lost its beginning: {', '.join(cut)}",
            fix="these topics are kept for ever; restore their records from the archive of the log",
        )


def comparable(expected: dict[str, Table], reading: Reading) -> Iterable[tuple[TableSpec, Table]]:
    """Pair each table with its specification.

    Signals are kept for a day and outlived by what was made of them (62): once their log has lost its beginning, it
    explains neither all sessions nor the columns that are derived from them.
    """
    for spec in TABLES:
        table = expected[spec.name]
        if reading.is_whole("signals"):
            yield spec, table
        elif spec.name == "sessions":
            known = {key: {name: v for name, v in row.items() if v is not None} for key, row in table.items()}
            yield replace(spec, may_hold_more=True), known
        elif spec.name == "analytics.user_activity":
            counters = tuple(name for name in spec.counters if name != "time_spent_minutes")
            yield replace(spec, counters=counters), _without(table, "time_spent_minutes")
        elif spec.name == "workspace_members":
            yield spec, _without(table, "last_seen_at")
        else:
            yield spec, table


def _without(table: Table, column: str) -> Table:
    """Leave a column out; a rollup row that holds nothing else may be there or not."""
    left: dict[Key, Row] = {}
    for key, row in table.items():
        rest = {name: value for name, value in row.items() if name != column}
        left[key] = rest if any(rest.values()) else FreeRow(rest)
    return left


def _behind(at: Moment, reading: Reading) -> dict[str, int]:
    """Count the records that each projection has not applied; projections that keep no progress are left out."""
    return {
        projection: sum(max(0, reading.end_offsets.get(place, 0) - offset) for place, offset in positions.items())
        for projection, positions in at.by_projection.items()
    }
