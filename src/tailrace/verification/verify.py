"""Fold the log, read the tables, say what differs."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError
from tailrace.operations.database import connection
from tailrace.operations.streams import stream_positions
from tailrace.settings import Settings
from tailrace.verification.compare import TableReport, begin, compare_rows, document, prepare, rows_of
from tailrace.verification.compare_dead_letters import compare_dead_letters, dead_letters, left_out, waiting_events
from tailrace.verification.compare_redis import compare_redis
from tailrace.verification.compare_search import compare_search
from tailrace.verification.compare_streams import HOTTEST_MAX, compare_notifications, compare_trends, read_windows
from tailrace.verification.fold import fold
from tailrace.verification.fold_log import FreeRow, Row, Table
from tailrace.verification.reading import TOPICS, Reading, read_log
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
    """

    reports: dict[str, TableReport] = field(default_factory=dict)
    behind: dict[str, int] = field(default_factory=dict)
    hottest: list[Row] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """Number of differences in all tables."""
        return sum(report.count for report in self.reports.values())

    def document(self) -> dict[str, Any]:
        """Give what `tailrace verify -o json` prints."""
        return {**document(self.reports), "behind": self.behind}


def verify(
    settings: Settings, names: Sequence[str] = (), *, limit: int, watch: Watch = lambda *_: None
) -> Verification:
    """Compare the named tables (all for none) with the log as it ends now; keep at most `limit` differences of each.

    Runs its own event loop, so call it in a thread where one runs already. A worker that has not applied the whole log
    differs from it: `behind` says so. Raises `UsageError` for an unknown name, `UnreachableError`, and
    `PreconditionError` where topics or tables are not there.
    """
    chosen(names)  # before anything takes long
    reading = asyncio.run(
        read_log(settings, resolve(settings).kafka, progress=lambda done, total: watch("read", done, total))
    )
    must_be_whole(reading)
    streams = {f"streams.{one.name}": one.lag for one in asyncio.run(stream_positions(settings)) if not one.is_new}
    outcome = Verification()
    with connection(settings) as conn:
        prepare(conn)
        with conn.transaction():
            begin(conn, settings)
            letters = dead_letters(conn, settings, TOPICS)
            outcome.behind = _behind(conn, settings, reading) | streams
            wanted = chosen(names) if names else chosen(names) | _running(outcome.behind)
            gone = left_out(reading.events, letters, waiting_events(conn, settings, TOPICS))
            watch("fold", 0, len(reading.events))
            folded = [e for e in reading.events if (e.topic, e.partition, e.offset) not in gone]
            expected = fold(folded)
            watch("fold", len(reading.events), len(reading.events))
            for spec, table in comparable(expected, reading):
                if spec.name in wanted:
                    watch(spec.name, 0, len(table))
                    report = compare_rows(spec, table, rows_of(conn, settings, spec), limit=limit)
                    outcome.reports[spec.name] = report
                    watch(spec.name, report.checked, report.checked)
            if NOTIFICATIONS in wanted:
                watch(NOTIFICATIONS, 0, 1)
                outcome.reports[NOTIFICATIONS] = compare_notifications(conn, settings, reading, expected, limit=limit)
    if TRENDS in wanted:
        watch(TRENDS, 0, 1)
        windows = read_windows(settings)
        outcome.reports[TRENDS] = compare_trends(reading, windows, limit=limit)
        outcome.hottest = windows.hottest(HOTTEST_MAX)
    if searched := [name for name in SEARCH if name in wanted]:
        outcome.reports |= compare_search(settings, expected, searched, limit=limit)
    if cached := [name for name in REDIS if name in wanted]:
        outcome.reports |= compare_redis(settings, folded, expected, cached, limit=limit)
    if DEAD_LETTERS in wanted:
        parking_limit = timedelta(seconds=settings.worker.parking_limit_s)
        outcome.reports[DEAD_LETTERS] = compare_dead_letters(reading, letters, parking_limit=parking_limit, limit=limit)
    return outcome


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
    left: Table = {}
    for key, row in table.items():
        rest = {name: value for name, value in row.items() if name != column}
        left[key] = rest if any(rest.values()) else FreeRow(rest)
    return left


def _behind(conn: psycopg.Connection[Any], settings: Settings, reading: Reading) -> dict[str, int]:
    """Count the records that each projection has not applied; projections that keep no progress are left out."""
    query = sql.SQL("SELECT projection, topic, partition, max(next_offset) FROM {} GROUP BY 1, 2, 3").format(
        sql.Identifier(settings.postgres.schema_runtime, "progress")
    )
    ends = {(settings.topic(topic), partition): end for (topic, partition), end in reading.end_offsets.items()}
    behind: dict[str, int] = {}
    for projection, topic, partition, next_offset in conn.execute(query):
        if (topic, partition) in ends:
            behind[projection] = behind.get(projection, 0) + max(0, ends[topic, partition] - next_offset)
    return behind
