"""The outbox in a real PostgreSQL, its relay before a log that is a list, and killed before a real one."""

import asyncio
import json
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from kafka_topics import read_all
from pgbouncer import SESSIONS, pgbouncer
from typer.testing import CliRunner
from worker_process import command, environment, eventually

from tailrace.addresses import resolve
from tailrace.cli.main import app
from tailrace.operations.topics import apply_topics
from tailrace.outbox import Outbox, operating
from tailrace.outbox.relay import Relay, RelayOptions
from tailrace.outbox.store import Store
from tailrace.producer import Ack, NotDelivered, Producer, Record
from tailrace.settings import Settings

SCHEMA = "Shop"
KILLS = int(os.environ.get("TAILRACE_TEST_OUTBOX_KILLS", "3"))
SEED = int(os.environ.get("TAILRACE_TEST_SEED", "1"))
EVENTUALLY_S = 60
WORKSPACE, USER = "0199c1d2-0010-7000-8000-000000000001", "0199c1d2-0020-7000-8000-000000000001"
QUICK = RelayOptions(lease_s=1, poll_s=0.02, retry_wait_min_s=0.02)


class Log:
    """What a relay has published, as names of channels; `failing` deliveries fail."""

    def __init__(self, settings: Settings) -> None:
        self._sdk = Producer(settings, source="/test")
        self.names: list[str] = []
        self.records: list[Record] = []
        self.failing = 0

    def validate(self, event: Mapping[str, Any]) -> Record:
        return self._sdk.validate(event)

    async def submit_record(self, record: Record) -> "asyncio.Future[Ack]":
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        if self.failing:
            self.failing -= 1
            future.set_exception(NotDelivered(record.event_id, "away"))
        else:
            self.records.append(record)
            self.names.append(json.loads(record.value)["data"].get("name"))
            future.set_result(Ack(record.topic, 0, 0, record.event_id, datetime.now(UTC)))
        return future


def channel(channel_id: str, name: str) -> dict[str, Any]:
    flags = dict.fromkeys(("is_general", "allow_threads", "allow_file_upload", "allow_external_sharing"), False)
    ids = {"channel_id": channel_id, "workspace_id": WORKSPACE, "created_by": USER}
    return {**ids, "name": name, "channel_type": "public", **flags}


@pytest.fixture
def dsn(settings: Settings) -> str:
    found = resolve(settings).postgres
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{SCHEMA}"')
    for _ in range(2):
        operating.install(found, SCHEMA)
    return found


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(source="/shop", schema=SCHEMA)


@asynccontextmanager
async def running(stop: asyncio.Event, *tasks: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run tasks that end when told to; where a test failed, they are not left to run on."""
    started = [asyncio.create_task(task) for task in tasks]
    try:
        yield
        stop.set()
        await asyncio.gather(*started)
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


async def is_empty(dsn: str) -> bool:
    return operating.status(dsn, SCHEMA).waiting == 0


async def has_published(dsn: str, *, more_than: int) -> bool:
    return operating.status(dsn, SCHEMA).published > more_than


def relay(settings: Settings, store: Store, log: Log, **options: Any) -> Relay:
    del settings
    return Relay(store, log, uuid.uuid4(), RelayOptions(**{"poll_s": 0.02, **options}))


async def test_what_was_committed_is_published_in_order_and_what_was_rolled_back_is_not(
    settings: Settings, dsn: str, outbox: Outbox
):
    log = Log(settings)
    ids = [str(uuid.uuid4()) for _ in range(4)]
    with psycopg.connect(dsn) as connection:
        outbox.enqueue(connection, "collab.channel.updated", channel(ids[0], "sync \0 \ud800"))
        connection.commit()
        outbox.enqueue(connection, "collab.channel.updated", channel(ids[1], "rolled back"))
        connection.rollback()
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await outbox.enqueue_async(connection, "collab.channel.updated", channel(ids[2], "async"), sequence=7)
    connection = await asyncpg.connect(dsn)
    given = await outbox.enqueue_asyncpg(connection, "collab.channel.updated", channel(ids[3], "asyncpg"))
    await connection.close()

    async with Store(dsn, SCHEMA) as store:
        report = await relay(settings, store, log).run_once()
    found = operating.status(dsn, SCHEMA)
    events = [json.loads(record.value) for record in log.records]

    assert [event["data"]["name"] for event in events] == ["sync \ufffd \ufffd", "async", "asyncpg"]
    assert (events[1]["sequence"], events[2]["id"]) == ("7", str(given))
    assert int(events[0]["sequence"]) < int(events[2]["sequence"])
    assert report.published == found.published == 3
    assert (found.waiting, found.refused, found.relay_runs, found.oldest_s) == (0, 0, False, None)


async def test_no_position_is_passed_while_what_lies_below_it_may_still_be_committed(
    settings: Settings, dsn: str, outbox: Outbox
):
    log, one = Log(settings), str(uuid.uuid4())
    async with Store(dsn, SCHEMA) as store:
        hasty = relay(settings, store, log, once_timeout_s=0.2)
        with psycopg.connect(dsn) as early, psycopg.connect(dsn) as late:
            outbox.enqueue(early, "collab.channel.updated", channel(one, "first"))
            outbox.enqueue(late, "collab.channel.updated", channel(one, "second"))
            late.commit()
            with pytest.raises(Exception, match="was wanted"):
                await hasty.run_once()
            held_back = list(log.names)
            found = operating.status(dsn, SCHEMA)
            early.commit()
        await relay(settings, store, log).run_once()

    assert held_back == []
    assert found.waiting == 1
    assert found.oldest_transaction  # of the server: beside other tests it may be one of theirs
    assert log.names == ["first", "second"]


async def test_an_event_that_does_not_fit_is_passed_over_and_tried_again_when_freed(
    settings: Settings, dsn: str, outbox: Outbox
):
    log = Log(settings)
    one = str(uuid.uuid4())
    wrong = "SELECT \"Shop\".outbox_publish('collab.channel.updated', 's', %s::json)"
    with psycopg.connect(dsn) as connection:
        connection.execute(wrong, [json.dumps({**channel(one, "wrong"), "is_general": "secret"})])
        outbox.enqueue(connection, "collab.channel.updated", channel(one, "right"))
    async with Store(dsn, SCHEMA) as store:
        await relay(settings, store, log).run_once()
        found = operating.status(dsn, SCHEMA)
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "UPDATE \"Shop\".tailrace_outbox SET event = replace(event::text, '\"secret\"', 'true')::json"
            )
        freed = operating.free(dsn, SCHEMA)
        await relay(settings, store, log).run_once()

    assert (found.refused, freed) == (1, 1)
    assert (found.refusals[0]["code"], found.refusals[0]["reason"]) == (
        "E_SCHEMA",
        "data.is_general: expected true or false",
    )
    assert log.names == ["right", "wrong"]


async def test_behind_a_pooler_in_transaction_mode_it_is_the_same(
    settings: Settings, dsn: str, outbox: Outbox, tmp_path: Path
):
    log, count = Log(settings), 40
    with pgbouncer(settings, tmp_path / "pgbouncer") as pooled, closing(psycopg.connect(dsn)) as connection:
        for number in range(count):
            outbox.enqueue(connection, "collab.channel.updated", channel(str(uuid.uuid4()), str(number)))
        connection.commit()
        stop, stores = asyncio.Event(), [Store(resolve(pooled).postgres, SCHEMA) for _ in range(2 * SESSIONS)]
        relays = [Relay(each, log, uuid.uuid4(), replace(QUICK, batch_max_events=3)) for each in stores]
        async with running(stop, *(each.run(stop) for each in relays)):
            await eventually(partial(is_empty, resolve(pooled).postgres), "empty")
        for store in stores:
            await store.__aexit__()

    assert log.names == [str(number) for number in range(count)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("'nonsense', 's', '{}'", "type"),
        ("'collab.channel.updated', '', '{}'", "subject"),
        ("'collab.channel.updated', 's', '[]'", "object"),
        ("'collab.channel.updated', 's', '{}', sequence => -1", "sequence"),
        ("'collab.channel.updated', 's', json_build_object('a', repeat('x', 1048576))", "1 MiB"),
    ],
)
def test_the_function_checks_the_shape(dsn: str, arguments: str, complaint: str):
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.CheckViolation, match=complaint):
        connection.execute(f'SELECT "Shop".outbox_publish({arguments})')


async def test_one_relay_publishes_and_another_takes_over_when_it_is_gone(settings: Settings, dsn: str, outbox: Outbox):
    first, second, one = Log(settings), Log(settings), str(uuid.uuid4())
    async with Store(dsn, SCHEMA) as store, Store(dsn, SCHEMA) as other_store:
        holder = uuid.uuid4()
        assert await store.hold(holder, 0.5)
        assert not await other_store.hold(uuid.uuid4(), 0.5)
        with psycopg.connect(dsn) as connection:
            outbox.enqueue(connection, "collab.channel.updated", channel(one, "it"))
        stop = asyncio.Event()
        relays = (
            Relay(each, log, uuid.uuid4(), QUICK).run(stop) for each, log in ((store, first), (other_store, second))
        )
        async with running(stop, *relays):
            await eventually(partial(is_empty, dsn), "empty")

    assert first.names + second.names == ["it"]


async def test_a_delivery_that_fails_is_tried_again_until_it_does_not(settings: Settings, dsn: str, outbox: Outbox):
    log, one = Log(settings), str(uuid.uuid4())
    log.failing = 3
    with psycopg.connect(dsn) as connection:
        outbox.enqueue(connection, "collab.channel.updated", channel(one, "it"))
    stop = asyncio.Event()
    async with Store(dsn, SCHEMA) as store, running(stop, Relay(store, log, uuid.uuid4(), QUICK).run(stop)):
        await eventually(partial(is_empty, dsn), "empty")

    assert log.names == ["it"]


def test_it_is_taken_away_only_when_it_is_empty(dsn: str, outbox: Outbox):
    with psycopg.connect(dsn) as connection:
        outbox.enqueue(connection, "collab.channel.updated", channel(str(uuid.uuid4()), "it"))
    calls = [
        CliRunner().invoke(app, ["outbox", "install", "--dsn", dsn, "--schema", SCHEMA, "--down", *more])
        for more in ([], ["--force"])
    ]
    gone = CliRunner().invoke(app, ["outbox", "status", "--dsn", dsn, "--schema", SCHEMA])

    assert [getattr(call.exception, "exit_code", 0) for call in calls] == [3, 0]
    assert getattr(gone.exception, "fix", "").startswith("tailrace outbox install")


class Writers:
    """Transactions that commit or roll back, several at a time; per channel the committed ones are numbered in order.

    Half of the channels are changed under a lock, as services do; the others by whoever comes.
    """

    def __init__(self, dsn: str, outbox: Outbox, dice: random.Random) -> None:
        self.dsn, self.outbox, self.dice = dsn, outbox, dice
        self.channels = [str(uuid.UUID(int=dice.getrandbits(128), version=4)) for _ in range(6)]
        self.committed: set[str] = set()
        self.rolled_back: set[str] = set()
        self.stop = asyncio.Event()

    async def run(self) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            while not self.stop.is_set():
                await self._transaction(connection)
        finally:
            await connection.close()

    async def _transaction(self, connection: Any) -> None:
        ids, transaction = [], connection.transaction()
        await transaction.start()
        for place in sorted(self.dice.sample(range(6), self.dice.randint(1, 3))):
            one, number = self.channels[place], 0
            if place < 3:
                number = await connection.fetchval(
                    "UPDATE counters SET n = n + 1 WHERE channel = $1::uuid RETURNING n", one
                )
            event = ("collab.channel.updated", channel(one, str(number)))
            ids.append(str(await self.outbox.enqueue_asyncpg(connection, *event)))
            await asyncio.sleep(self.dice.random() * 0.01)
        if self.dice.random() < 0.3:
            await transaction.rollback()
            self.rolled_back.update(ids)
        else:
            await transaction.commit()
            self.committed.update(ids)


async def test_every_committed_event_and_no_other_is_published_however_often_the_relay_is_killed(
    settings: Settings, dsn: str, outbox: Outbox
):
    await apply_topics(settings, resolve(settings).kafka)
    dice = random.Random(SEED)
    writers = Writers(dsn, outbox, dice)
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE counters (channel uuid PRIMARY KEY, n integer NOT NULL DEFAULT 0)")
        connection.cursor().executemany("INSERT INTO counters (channel) VALUES (%s)", [[it] for it in writers.channels])
    arguments = command("outbox", "relay", "--schema", SCHEMA, "--lease-s", "1")
    given = environment(settings) | {"TAILRACE_OUTBOX_DSN": dsn}
    async with running(writers.stop, *(writers.run() for _ in range(5))):
        for _ in range(KILLS):
            before = operating.status(dsn, SCHEMA).published
            process = await asyncio.create_subprocess_exec(*arguments, env=given, stderr=asyncio.subprocess.DEVNULL)
            try:
                await eventually(partial(has_published, dsn, more_than=before), "published")
                await asyncio.sleep(dice.random() * 0.5)
            finally:
                process.send_signal(signal.SIGKILL)
                await process.wait()
    last = await asyncio.create_subprocess_exec(*arguments, "--once", env=given)
    async with asyncio.timeout(EVENTUALLY_S):
        assert await last.wait() == 0

    values = [json.loads(record.value) for record in await read_all(settings, "conversations")]
    first_copies = list({value["id"]: value for value in values}.values())
    assert {value["id"] for value in first_copies} == writers.committed
    assert writers.rolled_back
    assert len({json.dumps(value, sort_keys=True) for value in values}) == len(first_copies)
    for place, one in enumerate(writers.channels):
        of_one = [value for value in first_copies if value["data"]["channel_id"] == one]
        if place < 3:
            assert [int(value["data"]["name"]) for value in of_one] == list(range(1, len(of_one) + 1))
            sequences = [int(value["sequence"]) for value in of_one]
            assert sequences == sorted(sequences)
    assert operating.status(dsn, SCHEMA).waiting == 0
