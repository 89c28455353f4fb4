"""The gateway as a process: refused records with their reason, a clean stop, aborted transactions."""

import json
import signal
from datetime import UTC, datetime
from uuid import UUID, uuid5

CHANNELS = 40
WORLD = UUID("0199c1d2-0000-7000-8000-000000000000")


def posted(number: int, *, complete: bool) -> bytes:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event = {
        "specversion": "1.0",
        "type": "collab.message.posted",
        "source": "/legacy",
        "subject": str(uuid5(WORLD, f"message {number}")),
        "data": {
            "message_id": str(uuid5(WORLD, f"message {number}")),
            "channel_id": str(uuid5(WORLD, f"channel {number % CHANNELS}")),
            "workspace_id": str(WORLD),
            "user_id": str(WORLD),
            "content": "x" * 100,
            "message_type": "text",
            "mentions": [],
            "file_ids": [],
            "created_at": now,
        },
    }
    if complete:
        event |= {"id": str(uuid5(WORLD, f"event {number}")), "time": now, "sequence": str(number)}
    return json.dumps(event).encode()


async def test_a_stream_writes_nothing_where_it_is_started(topics, make_workers, eventually, tmp_path):
    """That may be read-only, as in a container, and is somebody else's folder in any case."""
    del topics
    workers = make_workers("gateway")
    workers.start()
    await eventually(lambda: "stream_ready" in workers.log(0))
    assert workers.stop(signal.SIGTERM) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["gateway-0.log"]


async def test_a_refused_record_is_a_dead_letter_as_it_came(topics, make_workers, eventually):
    await (await topics.put("inbound", b"nothing", key=b"some key", partition=2))
    workers = make_workers("gateway")
    workers.start()

    async def has_come() -> bool:
        return bool(await topics.read("dead-letters"))

    await eventually(has_come)
    (letter,) = await topics.read("dead-letters")
    headers = dict(letter.headers)

    assert (letter.key, letter.value) == (b"some key", b"nothing")
    assert headers["tr-code"] == b"E_DECODE"
    assert headers["tr-projection"] == b"gateway"
    assert headers["kafka_dlt-original-topic"].decode() == topics.settings.topic("inbound")
    assert headers["__connect.errors.partition"] == b"2"


async def test_a_clean_stop_commits_what_was_sent(topics, make_workers, eventually):
    workers = make_workers("gateway")
    for first in (0, 100):
        for number in range(first, first + 100):
            await topics.put("inbound", posted(number, complete=True))
        await topics.producer.flush()
        workers.start()

        async def is_complete(wanted: int = first + 100) -> bool:
            return len(await topics.read("conversations")) >= wanted

        await eventually(is_complete)
        assert workers.stop(signal.SIGTERM) == 0

    assert len(await topics.read("conversations")) == 200


async def test_records_of_an_aborted_transaction_do_not_go_on(topics, make_workers, eventually, settings):
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=topics.bootstrap, transactional_id=settings.topic("foreign"))
    await producer.start()
    for number, outcome in enumerate([producer.commit_transaction, producer.abort_transaction] * 3):
        await producer.begin_transaction()
        await producer.send(settings.topic("inbound"), posted(number, complete=True), partition=0)
        await outcome()
    await producer.stop()
    workers = make_workers("gateway")
    workers.start()

    async def is_complete() -> bool:
        return len(await topics.read("conversations")) >= 3

    await eventually(is_complete)
    assert workers.stop(signal.SIGTERM) == 0
    ids = {json.loads(record.value)["id"] for record in await topics.read("conversations")}

    assert ids == {str(uuid5(WORLD, f"event {number}")) for number in (0, 2, 4)}
