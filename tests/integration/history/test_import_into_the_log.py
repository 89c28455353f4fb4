"""A Slack export in the log of a real broker."""

import asyncio
import json
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer

from tailrace.addresses import resolve
from tailrace.history.report import Report
from tailrace.history.sending import Log, send
from tailrace.history.slack import SlackOptions, slack_events
from tailrace.history.slack_export import read_slack_export
from tailrace.operations.topics import apply_topics
from tailrace.producer import Producer
from tailrace.settings import Settings

TOPICS = ("directory", "conversations", "files")
READ_TIMEOUT_S = 30


def export(folder: Path) -> Path:
    file = {"id": "F1", "name": "a.txt", "mimetype": "text/plain", "size": 1}
    messages = [
        {"type": "message", "user": "U1", "text": f"hello {number}", "ts": f"{1_600_000_000 + number}.000000"}
        for number in range(500)
    ]
    (folder / "general").mkdir()
    (folder / "general" / "2020-09-13.json").write_text(json.dumps([*messages[:-1], {**messages[-1], "files": [file]}]))
    (folder / "users.json").write_text(json.dumps([{"id": "U1", "team_id": "T1", "name": "ada"}]))
    (folder / "channels.json").write_text(json.dumps([{"id": "C1", "name": "general", "members": ["U1"]}]))
    return folder


async def records(settings: Settings, count: int) -> list[tuple[str, str, dict]]:
    """Topic, key and event of every record, of each topic in the order of its only key's partition."""
    found = []
    consumer = AIOKafkaConsumer(
        *map(settings.topic, TOPICS),
        bootstrap_servers=resolve(settings).kafka,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer, asyncio.timeout(READ_TIMEOUT_S):
        while len(found) < count:
            for batch in (await consumer.getmany(timeout_ms=1_000)).values():
                found += [(record.topic, record.key.decode(), orjson.loads(record.value)) for record in batch]
    return found


async def test_events_arrive_as_they_were_made_however_often_they_are_sent(settings: Settings, tmp_path: Path):
    bootstrap = resolve(settings).kafka
    await apply_topics(settings, bootstrap)
    with read_slack_export(export(tmp_path)) as opened:
        made = list(slack_events(opened, SlackOptions(), Report()))

    for _ in range(2):
        async with Producer(settings, source="/import", bootstrap_servers=bootstrap) as producer:
            sent = await send(made, Log(producer))
        assert (sent.written, sent.refused) == (len(made), 0)

    found = await records(settings, 2 * len(made))
    wanted = [(settings.topic(event.topic), event.key, event.event) for event in made]
    for topic in TOPICS:
        of_topic = [record for record in wanted if record[0] == settings.topic(topic)]
        key_order = {key: [record for record in of_topic if record[1] == key] for _, key, _ in of_topic}
        for key, expected in key_order.items():
            assert [record for record in found if record[:2] == (settings.topic(topic), key)] == expected * 2


async def test_an_event_the_contract_refuses_is_counted_and_the_others_arrive(settings: Settings, tmp_path: Path):
    bootstrap = resolve(settings).kafka
    await apply_topics(settings, bootstrap)
    with read_slack_export(export(tmp_path)) as opened:
        made = list(slack_events(opened, SlackOptions(), Report()))
    bad = next(event.event for event in made if event.event["type"] == "collab.message.posted")
    bad["data"]["user_id"] = "not an id"

    async with Producer(settings, source="/import", bootstrap_servers=bootstrap) as producer:
        sent = await send(made, Log(producer))

    assert (sent.written, sent.refused) == (len(made) - 1, 1)
    assert sent.refusals[0].event_id == bad["id"]
    assert "not an id" not in sent.refusals[0].reason
