"""Notifications from the log to the table: replays, reading, deleting and restoring."""

import signal
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from channel_life import Life, notifications_of, value_of
from psycopg.rows import dict_row

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate

STEP_S = 2


@pytest.fixture
def database(settings):
    with connection(settings) as conn:
        migrate(conn, settings)
    return settings


def rows(settings) -> dict[tuple[str, str], dict]:
    """Rows of the table by message and recipient."""
    with psycopg.connect(resolve(settings).postgres, row_factory=dict_row) as conn:
        found = conn.execute("SELECT * FROM collab.notifications").fetchall()
    by_key = {(str(row["message_id"]), str(row["user_id"])): row for row in found}
    assert len(by_key) == len(found)
    return by_key


async def publish(topics, events: Iterable[dict]) -> None:
    for event in events:
        await topics.put("conversations", value_of(event), key=event["data"]["channel_id"].encode())
    await topics.producer.flush()


def life_of(seed: int, count: int) -> list[dict]:
    life = Life(seed, begins=datetime.now(UTC) - timedelta(seconds=STEP_S * count * 2), step_s=STEP_S)
    return [*life.founding(), *life.events(count)]


def kinds(settings) -> dict[tuple[str, str], tuple[str, bool]]:
    return {key: (row["kind"], row["withdrawn_at"] is not None) for key, row in rows(settings).items()}


async def test_a_replay_raises_nothing_anew(database, topics, make_workers, make_projection, eventually, settings):
    events = life_of(seed=4, count=600)
    expected = notifications_of(events)
    make_projection(database)
    await publish(topics, events)
    workers = make_workers("notifications")
    workers.start()
    await eventually(lambda: kinds(database) == expected)
    assert workers.stop(signal.SIGTERM) == 0
    before, once = rows(database), await topics.read("notifications")

    settings.kafka.group_prefix += "again."  # another group has no commits, so it starts from the beginning
    await publish(topics, events)  # and finds every record twice
    workers = make_workers("notifications")
    workers.start()

    async def is_done() -> bool:
        return await topics.lag("notifications", "conversations") == 0

    await eventually(is_done)
    assert workers.stop(signal.SIGTERM) == 0
    seen = {(record.partition, record.offset) for record in once}
    again = [r for r in await topics.read("notifications") if (r.partition, r.offset) not in seen]

    assert {record.value for record in again} == {record.value for record in once}
    assert len(again) == len(once)
    assert rows(database) == before


async def test_reading_past_a_message_reads_its_notification_and_marking_unread_takes_it_back(
    database, topics, make_workers, make_projection, eventually
):
    life = Life(5, begins=datetime.now(UTC) - timedelta(minutes=9), step_s=1, channels=1)
    events = [*life.founding(), *life.events(80)]
    expected = notifications_of(events)
    (message, user) = next(key for key, (_, withdrawn) in expected.items() if not withdrawn)
    created = next(event for event in events if event["data"].get("message_id") == message)["time"]
    make_projection(database)
    make_workers("notifications").start()
    await publish(topics, events)
    await eventually(lambda: kinds(database) == expected)

    def read(at: str, **more: object) -> dict:
        return life.event(
            "channel.read", life.channels[0], user_id=user, last_read_message_id=message, last_read_at=at, **more
        )

    await publish(topics, [read(created)])
    await eventually(lambda: rows(database)[message, user]["read_at"] == datetime.fromisoformat(created))
    await publish(topics, [read(events[0]["time"], mark_unread=True)])
    await eventually(lambda: rows(database)[message, user]["read_at"] is None)


async def test_a_restored_message_gives_its_notifications_back(
    database, topics, make_workers, make_projection, eventually
):
    events = life_of(seed=6, count=200)
    expected = notifications_of(events)
    (message, user) = next(key for key, (_, withdrawn) in expected.items() if withdrawn)
    make_projection(database)
    make_workers("notifications").start()
    await publish(topics, events)
    await eventually(lambda: kinds(database) == expected)
    deleted = next(e for e in events if e["type"].endswith(".deleted") and e["data"]["message_id"] == message)
    restored = deleted | {"id": message, "type": "collab.message.restored", "sequence": "99999999"}
    await publish(topics, [restored])

    await eventually(lambda: rows(database)[message, user]["withdrawn_at"] is None)
