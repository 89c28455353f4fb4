"""The simulated log and store behave like Kafka and PostgreSQL wherever the runtime could notice a difference."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition as KafkaPartition
from simulated import Broker, SimulatedLog, SimulatedSink, Store

from tailrace.addresses import resolve
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.batches import add_records
from tailrace.consumers.errors import FencedError, OutOfRangeError
from tailrace.consumers.kafka_log import of_group
from tailrace.consumers.log import Log
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.consumers.sink import Sink
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings

TOPIC = "t.directory"
PARTITION = TopicPartition(TOPIC, 0)
POLLS_MAX = 100


def login(offset: int) -> Record:
    user = "0199c1d2-0010-7000-8000-000000000001"
    event = {
        "specversion": "1.0", "id": str(uuid.UUID(int=offset + 1, version=4)), "type": "collab.user.logged_in",
        "source": "/s", "subject": user, "time": "2026-11-01T00:00:00Z", "sequence": str(offset + 1),
        "data": {"user_id": user},
    }  # fmt: skip
    at = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp() * 1000)
    return Record(TOPIC, 0, offset, at, user.encode(), json.dumps(event).encode())


def batch_of(offsets: range, epoch: int) -> Batch:
    batch = Batch()
    records = [login(offset) for offset in offsets]
    add_records(batch, PARTITION, "directory", records, epoch=epoch, expected=offsets.start)
    return batch


@dataclass
class Stores:
    """Makes sinks over one store, and tells the highest sequence that was applied to it."""

    sink: Callable[[], Sink]
    newest_sequence: Callable[[], int]


@pytest.fixture(params=["simulated", "real"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "simulated":
        store = Store()

        def make() -> SimulatedSink:
            sink = SimulatedSink(store, {"directory": TOPIC}, random.Random(1))
            sink.faults = 0  # they have tests of their own
            return sink

        return Stores(make, lambda: max((offset + 1 for _, offset in store.applied), default=0))
    settings: Settings = request.getfixturevalue("settings")
    dsn = resolve(settings).postgres
    with psycopg.connect(dsn, autocommit=True) as connection:
        migrate(connection, settings)

    def newest() -> int:
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SELECT (registers -> 'login' ->> 0)::int FROM collab.users").fetchone()
        return row[0] if row else 0

    return Stores(lambda: PostgresSink(dsn, settings.postgres, "p", 1, {"directory": TOPIC}), newest)


async def test_a_new_partition_is_claimed_at_its_beginning(stores):
    sink = stores.sink()
    claims = await sink.progress.claim({PARTITION: 5}, "a")
    await sink.close()

    assert (claims[PARTITION].next_offset, claims[PARTITION].epoch, claims[PARTITION].fingerprint) == (5, 1, None)


async def test_a_claim_finds_what_was_applied_and_raises_the_epoch(stores):
    sink = stores.sink()
    epoch = (await sink.progress.claim({PARTITION: 0}, "a"))[PARTITION].epoch
    batch = batch_of(range(3), epoch)
    await sink.apply(batch)
    claim = (await sink.progress.claim({PARTITION: 0}, "b"))[PARTITION]
    await sink.close()

    assert (claim.next_offset, claim.epoch) == (3, epoch + 1)
    assert claim.fingerprint == batch.spans[PARTITION].fingerprint
    assert stores.newest_sequence() == 3


async def test_an_owner_of_an_older_epoch_is_fenced_and_changes_nothing(stores):
    old, new = stores.sink(), stores.sink()
    epoch = (await old.progress.claim({PARTITION: 0}, "a"))[PARTITION].epoch
    await new.progress.claim({PARTITION: 0}, "b")
    with pytest.raises(FencedError) as caught:
        await old.apply(batch_of(range(3), epoch))
    await old.close()
    await new.close()

    assert caught.value.partitions == {PARTITION}
    assert stores.newest_sequence() == 0


async def test_a_batch_that_skips_records_is_fenced(stores):
    sink = stores.sink()
    epoch = (await sink.progress.claim({PARTITION: 0}, "a"))[PARTITION].epoch
    with pytest.raises(FencedError):
        await sink.apply(batch_of(range(2, 4), epoch))
    await sink.close()

    assert stores.newest_sequence() == 0


async def test_the_same_batch_again_is_known_to_be_applied(stores):
    sink = stores.sink()
    epoch = (await sink.progress.claim({PARTITION: 0}, "a"))[PARTITION].epoch
    await sink.apply(batch_of(range(3), epoch))
    await sink.apply(batch_of(range(3), epoch))
    claim = (await sink.progress.claim({PARTITION: 0}, "a"))[PARTITION]
    await sink.close()

    assert claim.next_offset == 3


async def test_a_halt_is_there_at_the_next_claim(stores):
    sink = stores.sink()
    await sink.progress.claim({PARTITION: 0}, "a")
    await sink.progress.halt(PARTITION, "H_RETENTION", "gone")
    claim = (await sink.progress.claim({PARTITION: 0}, "b"))[PARTITION]
    await sink.close()

    assert claim.halted_code == "H_RETENTION"


@dataclass
class Logs:
    """A started member of a group over one partition of ten records that begins at offset 2."""

    log: Log
    partition: TopicPartition
    assigned: asyncio.Event
    stop: Callable[[], Awaitable[None]]


@pytest.fixture(params=["simulated", "real"])
async def logs(request: pytest.FixtureRequest) -> AsyncIterator[Logs]:
    assigned = asyncio.Event()

    async def revoked(_partitions: set[TopicPartition]) -> None:
        assigned.clear()

    if request.param == "simulated":
        broker = Broker(random.Random(1), {PARTITION: [login(offset) for offset in range(2, 10)]}, {PARTITION: 2})
        log: Log = SimulatedLog(broker, random.Random(2))
        topic = TOPIC
    else:
        settings: Settings = request.getfixturevalue("settings")
        topic = settings.topic("directory")
        await _ten_records(resolve(settings).kafka, topic)
        log = of_group(resolve(settings).kafka, settings.group("conformance"), settings.kafka)
    await log.start([topic], lambda _partitions: assigned.set(), revoked)
    await asyncio.wait_for(assigned.wait(), 30)
    yield Logs(log, TopicPartition(topic, 0), assigned, log.stop)
    await log.stop()


async def _ten_records(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await producer.start()
    for offset in range(10):
        await producer.send_and_wait(topic, login(offset).value, partition=0)
    await admin.delete_records({KafkaPartition(topic, 0): RecordsToDelete(before_offset=2)})
    await producer.stop()
    await admin.close()


async def _offsets(logs: Logs, wanted: int) -> list[int]:
    found: list[int] = []
    for _ in range(POLLS_MAX):
        for records in (await logs.log.fetch(50, 100)).values():
            found += [record.offset for record in records]
        if len(found) >= wanted:
            break
    return found


async def test_an_assigned_partition_is_held_until_it_is_told_where_to_read(logs):
    found = [await logs.log.fetch(20, 100) for _ in range(5)]

    assert found == [{}] * 5


async def test_records_come_in_order_from_where_it_was_told(logs):
    logs.log.read_from({logs.partition: 4})

    assert await _offsets(logs, 6) == [4, 5, 6, 7, 8, 9]


async def test_bounds_are_the_first_offset_and_the_one_after_the_last(logs):
    assert await logs.log.bounds([logs.partition]) == ({logs.partition: 2}, {logs.partition: 10})


async def test_a_held_partition_gives_nothing_more(logs):
    logs.log.read_from({logs.partition: 2})
    await _offsets(logs, 8)
    logs.log.hold([logs.partition])

    assert await logs.log.fetch(50, 100) == {}


async def test_a_position_that_is_gone_is_said_and_not_skipped(logs):
    logs.log.read_from({logs.partition: 0})

    with pytest.raises(OutOfRangeError) as caught:
        await _offsets(logs, 1)
    assert caught.value.partitions == {logs.partition}


async def test_a_commit_never_raises(logs):
    await logs.log.commit({logs.partition: 4, TopicPartition("nobody.knows", 7): 1})
