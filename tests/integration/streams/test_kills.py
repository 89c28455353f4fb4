"""All three streams under kills, stops and rebalances, from the inbound topic to the table, against three recounts.

`TAILRACE_TEST_KILL_EVENTS` sets the number of events (50,000 take some minutes), `TAILRACE_TEST_KILL_SEED` the seed.
"""

import asyncio
import json
import os
import signal
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random

import psycopg
import pytest
from channel_life import Life, notifications_of, value_of, windows_of

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.positions import positions
from tailrace.operations.streams import SOURCES, wait_for_streams
from tailrace.verification.verify import verify

EVENTS = int(os.environ.get("TAILRACE_TEST_KILL_EVENTS", "4000"))
SEED = int(os.environ.get("TAILRACE_TEST_KILL_SEED", "5"))
PER_SECOND = 400
STEP_S = 2
LATE_S_MAX = 1_000
"""More than the grace, so that some reactions are too late for their windows."""
NOISE_EVERY = 500
SETTLE_S = 240


def life_of(dice: Random) -> list[dict]:
    """Events of a few channels; some reactions tell of long ago."""
    life = Life(SEED, begins=datetime.now(UTC) - timedelta(hours=2, seconds=STEP_S * EVENTS), step_s=STEP_S)
    events = [*life.founding(), *life.events(EVENTS)]
    for event in events:
        if event["type"] == "collab.reaction.added" and dice.random() < 0.5:
            time = datetime.fromisoformat(event["time"]) - timedelta(seconds=dice.uniform(0, LATE_S_MAX))
            event["time"] = time.isoformat()
    return events


async def publish(topics, events: list[dict]) -> None:
    """Into the inbound topic, each channel into one partition, under keys of no meaning; and now and then no event."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    places = {channel: index % 4 for index, channel in enumerate(sorted({e["data"]["channel_id"] for e in events}))}
    for number, event in enumerate(events):
        place = places[event["data"]["channel_id"]]
        await topics.put("inbound", value_of(event), key=str(number).encode(), partition=place)
        if number % NOISE_EVERY == 3:
            await topics.put("inbound", b"no event at all", partition=place)
        if number % 50 == 0:
            await asyncio.sleep(max(0.0, started + number / PER_SECOND - loop.time()))
    await topics.producer.flush()


def check_gateway(inbound, conversations, letters, source_of, first_sights) -> None:
    visible = first_sights(conversations, lambda record: json.loads(record.value)["id"])
    good = {(r.partition, r.offset): r.value for r in inbound if r.value.startswith(b"{")}
    assert {source_of(record): record.value for record in visible} == good
    assert len(visible) == len(good)
    in_order = defaultdict(list)
    for record in visible:
        assert record.key.decode() == json.loads(record.value)["data"]["channel_id"]
        in_order[record.key].append(source_of(record)[1])
    assert all(offsets == sorted(offsets) for offsets in in_order.values())
    refused = first_sights(letters, lambda record: (source := dict(record.headers))["kafka_dlt-original-partition"]
                           + source["kafka_dlt-original-offset"])  # fmt: skip
    assert [record.value for record in refused] == [b"no event at all"] * (len(inbound) - len(good))


def table(settings) -> dict[tuple[str, str], tuple[str, bool]]:
    with psycopg.connect(resolve(settings).postgres) as conn:
        rows = conn.execute(
            "SELECT message_id::text, user_id::text, kind, withdrawn_at IS NOT NULL FROM collab.notifications"
        ).fetchall()
    assert len({row[:2] for row in rows}) == len(rows)
    return {(message, user): (kind, withdrawn) for message, user, kind, withdrawn in rows}


def last_words(records) -> dict[tuple[str, int, int], tuple[int, int, int]]:
    """Of each window the values with the highest sequence."""
    held = {}
    for event in sorted((json.loads(record.value) for record in records), key=lambda event: int(event["sequence"])):
        data = event["data"]
        start = int(datetime.fromisoformat(data["window_start"]).timestamp())
        held[data["channel_id"], data["window_seconds"], start] = tuple(
            data[name] for name in ("messages", "reactions", "active_users")
        )
    return held


@pytest.mark.slow
@pytest.mark.timeout(1_200)
async def test_killed_stopped_and_rebalanced_at_random_every_notification_and_window_is_right(
    topics, make_workers, make_projection, eventually, source_of, first_sights
):
    settings = topics.settings
    with connection(settings) as conn:
        migrate(conn, settings)
    dice = Random(SEED)
    events = life_of(dice)
    make_projection(settings)
    workers = make_workers(*SOURCES)
    publishing = asyncio.create_task(publish(topics, events))
    story = await workers.torment(dice, publishing)
    await publishing
    assert await wait_for_streams(settings, SETTLE_S, tuple(SOURCES)) == {}, story
    assert workers.stop(signal.SIGTERM) == 0
    await eventually(lambda: _nothing_waits(settings), SETTLE_S)
    outcome = await asyncio.to_thread(verify, settings, ["notifications", "trends"], limit=10)
    conversations = await topics.read("conversations")

    assert {"SIGKILL", "SIGTERM", "join"} <= {*story}
    check_gateway(
        await topics.read("inbound"), conversations, await topics.read("dead-letters"), source_of, first_sights
    )
    assert table(settings) == notifications_of(events)
    expected = {}
    for _, records in groupby(conversations, key=lambda record: record.partition):
        expected |= windows_of([(record.timestamp / 1000, json.loads(record.value)) for record in records])
    assert last_words(await topics.read("trends")) == expected
    assert outcome.differences == 0, [report.differences for report in outcome.reports.values()]
    assert outcome.reports["notifications"].checked > EVENTS // 4
    assert outcome.reports["trends"].checked > EVENTS // 2


async def _nothing_waits(settings) -> bool:
    return (await positions(settings, ["postgres"]))[0].lag == 0
