"""What the streams made of the traffic: notifications by kind, and where it was hottest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from tailrace.operations.database import connection
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names
from tailrace.verification.verify import Verification


@dataclass(frozen=True, slots=True)
class Notified:
    """Notifications of one kind: all, those whose message was deleted, and those that were read."""

    kind: str
    raised: int
    withdrawn: int
    read: int


@dataclass(frozen=True, slots=True)
class HotSpot:
    """Five minutes (UTC) of a channel; `channel` and `workspace` are names, None where the tables have none."""

    channel: str | None
    workspace: str | None
    window_start: datetime
    messages: int
    reactions: int
    active_users: int
    hot_score: float


@dataclass(frozen=True, slots=True)
class Derived:
    """All of it, over the whole log."""

    notified: tuple[Notified, ...] = ()
    hottest: tuple[HotSpot, ...] = ()


def derived(settings: Settings, verification: Verification) -> Derived:
    """Count the notifications in the tables, and name the hottest windows that verification saw in the topic."""
    texts = {name: render(text, schema_names(settings.postgres)) for name, text in queries("demo").items()}
    with connection(settings) as conn:
        cursor = psycopg.RawCursor(conn)
        notified = cursor.execute(texts["notifications_by_kind"].encode()).fetchall()
        ids = [row["channel_id"] for row in verification.hottest]
        found = cursor.execute(texts["names_of_channels"].encode(), (ids,)).fetchall()
    names = {str(channel_id): (channel, workspace) for channel_id, channel, workspace in found}
    return Derived(tuple(Notified(*row) for row in notified), tuple(_spot(row, names) for row in verification.hottest))


def _spot(row: dict[str, Any], names: dict[str, tuple[str | None, str | None]]) -> HotSpot:
    counts = {name: row[name] for name in ("window_start", "messages", "reactions", "active_users", "hot_score")}
    return HotSpot(*names.get(row["channel_id"], (None, None)), **counts)
