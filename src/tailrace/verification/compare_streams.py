"""What the streams raised and counted, against what they should have."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
from aiokafka import ConsumerRecord

from tailrace.settings import Settings
from tailrace.verification.compare import Difference, Rows, TableReport, compare_rows
from tailrace.verification.fold_log import FreeRow, Row, Table
from tailrace.verification.fold_notifications import notifications
from tailrace.verification.fold_trends import trends
from tailrace.verification.reading import Reading
from tailrace.verification.reading_raw import read_raw
from tailrace.verification.tables import NOTIFICATIONS, TRENDS, TableSpec

HOTTEST_WINDOW_S: Final = 300
HOTTEST_MAX: Final = 5
SCORE_TOLERANCE: Final = 0.0001
"""Scores are given out with four digits."""


def _is_set(value: datetime | None) -> bool:
    return value is not None


SPECS: Final[Mapping[str, TableSpec]] = {
    NOTIFICATIONS: TableSpec(
        NOTIFICATIONS,
        "collab",
        ("notifications",),
        ("notification_id",),
        (
            "user_id", "workspace_id", "kind", "channel_id", "message_id", "actor_id", "created_at", "read_at",
            "withdrawn_at",
        ),
        readers={"read_at": _is_set},
    ),
    TRENDS: TableSpec(
        TRENDS,
        "collab",
        (),
        ("channel_id", "window_seconds", "window_start"),
        ("workspace_id", "messages", "reactions", "active_users", "hot_score"),
    ),
}  # fmt: skip


@dataclass(slots=True)
class Windows:
    """The final value of every window in the topic: of one window, what has the highest sequence.

    `contradictions` are windows of which two records of one sequence say different things, with what they say.
    """

    values: dict[tuple[str, int, str], tuple[int, Row]] = field(default_factory=dict)
    contradictions: list[tuple[tuple[str, int, str], Row, Row]] = field(default_factory=list)
    is_whole: bool = True

    def take(self, record: ConsumerRecord) -> None:
        """Take a record of the trends topic."""
        event = json.loads(record.value)
        data, sequence = event["data"], int(event["sequence"])
        key = data["channel_id"], data["window_seconds"], data["window_start"]
        row = {name: data[name] for name in SPECS[TRENDS].columns}
        held = self.values.get(key)
        if held is None or sequence > held[0]:
            self.values[key] = sequence, row
        elif sequence == held[0] and row != held[1]:
            self.contradictions.append((key, held[1], row))

    def rows(self, expected: Table) -> Iterator[Sequence[Any]]:
        """The windows as rows, key first; a score that is right but for its rounding is given as it should be."""
        for (channel_id, seconds, start), (_, row) in self.values.items():
            key = channel_id, seconds, datetime.fromisoformat(start)
            wanted = expected.get(key, {}).get("hot_score")
            score = row["hot_score"]
            is_right = wanted is not None and score is not None and abs(wanted - score) <= SCORE_TOLERANCE
            yield *key, *({**row, "hot_score": wanted if is_right else score}).values()

    def hottest(self, limit: int) -> list[Row]:
        """Of each channel its hottest five minutes, hottest first, with `channel_id` and `window_start`."""
        best: dict[str, Row] = {}
        for (channel_id, seconds, start), (_, row) in self.values.items():
            if seconds == HOTTEST_WINDOW_S:
                window = {**row, "channel_id": channel_id, "window_start": datetime.fromisoformat(start)}
                best[channel_id] = min(best.get(channel_id, window), window, key=_by_heat)
        return sorted(best.values(), key=_by_heat)[:limit]


def _by_heat(window: Row) -> tuple[float, datetime, str]:
    return -(window["hot_score"] or 0.0), window["window_start"], window["channel_id"]


def compare_notifications(
    conn: psycopg.Connection[Any], settings: Settings, reading: Reading, tables: Mapping[str, Table], *, limit: int
) -> TableReport:
    """Compare `collab.notifications` with what the log asks for; `tables` are those that were folded of it."""
    expected = notifications(reading.events, tables)
    return compare_rows(SPECS[NOTIFICATIONS], expected, Rows(conn, settings, SPECS[NOTIFICATIONS]), limit=limit)


def compare_trends(reading: Reading, found: Windows, *, limit: int) -> TableReport:
    """Compare the final values in the trends topic with a recount of every window.

    Once retention has taken records from the topic, a window may be missing; what is there must still be right.
    """
    expected = trends(reading.events)
    if not found.is_whole:
        expected = {key: FreeRow(row) for key, row in expected.items()}
    report = compare_rows(SPECS[TRENDS], expected, found.rows(expected), limit=limit)
    for key, first, second in found.contradictions:
        report.add(Difference(dict(zip(SPECS[TRENDS].key, key, strict=True)), first, second))
    return report


def read_windows(settings: Settings) -> Windows:
    """Read the whole trends topic; raises what `read_raw` raises. Runs an event loop of its own."""
    found = Windows()
    found.is_whole = asyncio.run(read_raw(settings, TRENDS, found.take))
    return found
