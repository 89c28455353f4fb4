"""The SDK against a real broker, directly and through a proxy that loses answers and connections."""

import asyncio
import gc
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.operations.topics import apply_topics
from tailrace.producer import (
    Ack,
    DeliveryUnknown,
    Draft,
    EventRefused,
    Failed,
    Producer,
    ProducerClosed,
    ProducerOptions,
    Refused,
    SyncProducer,
    TopicMissing,
)
from tailrace.producer.lines import publish_lines
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.settings import Settings

POSTED = "collab.message.posted"
READ_TIMEOUT_S = 20
QUICK = ProducerOptions(delivery_timeout_s=1.5, connect_timeout_s=1, request_timeout_s=0.5, discard_timeout_s=0.5)


class Proxy:
    """Stands between producer and broker. `muted`: requests go through, answers are lost. `cut()` ends connections.

    It tells the client that the broker lives at its own port, or the client would go around it.
    """

    def __init__(self, broker: str) -> None:
        self._host, _, port = broker.rpartition(":")
        self._port = int(port)
        self.muted = False
        self.answers = 0
        self._awaited: tuple[int, asyncio.Future[None]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    async def after(self, answers: int) -> None:
        """Wait until the broker has answered so many times."""
        self._awaited = (self.answers + answers, asyncio.get_running_loop().create_future())
        await self._awaited[1]

    async def cut(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        broker_reader, broker_writer = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(reader, broker_writer))
                both.create_task(self._answers(broker_reader, writer))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        except* asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            broker_writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = await reader.readexactly(4)
            writer.write(size + await reader.readexactly(int.from_bytes(size)))
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here, there = (b"\x00\x09127.0.0.1" + port.to_bytes(4) for port in (self.port, self._port))
        while True:
            size = await reader.readexactly(4)
            answer = await reader.readexactly(int.from_bytes(size))
            self.answers += 1
            if self._awaited and self._awaited[0] == self.answers and not self._awaited[1].done():
                self._awaited[1].set_result(None)
            if not self.muted:
                writer.write(size + answer.replace(there, here))
                await writer.drain()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Tasks, futures and callbacks that a discarded connection leaves behind complain to asyncio's logger."""
    yield
    gc.collect()
    assert [it.getMessage() for it in caplog.get_records("call") if it.name == "asyncio"] == []


@pytest.fixture(scope="module")
async def settings(settings_for: Callable[[str], Settings]) -> Settings:
    """Settings with the contract's topics, for this module."""
    settings = settings_for("producer")
    await apply_topics(settings, resolve(settings).kafka)
    return settings


@pytest.fixture(scope="module")
def broker(settings: Settings) -> str:
    return resolve(settings).kafka


@pytest.fixture
async def proxy(broker: str) -> AsyncIterator[Proxy]:
    async with Proxy(broker) as proxy:
        yield proxy


def message(channel: str | None = None, **replaced: Any) -> Draft:
    data = {
        "message_id": uuid.uuid4(),
        "channel_id": channel or str(uuid.uuid4()),
        "workspace_id": uuid.UUID(int=3),
        "user_id": uuid.UUID(int=4),
        "content": "hello",
        "message_type": "text",
        "mentions": [],
        "file_ids": [],
        "created_at": "2026-01-01T12:00:00Z",
    }
    return Draft(POSTED, data | replaced)


def channels(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


async def records(broker: str, acks: Iterable[Ack]) -> dict[tuple[str, int, int], Any]:
    """Read what is in the log up to the last of these acks, by topic, partition and offset."""
    ends: dict[TopicPartition, int] = {}
    for ack in acks:
        assert ack.offset is not None
        partition = TopicPartition(ack.topic, ack.partition)
        ends[partition] = max(ends.get(partition, 0), ack.offset)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest")
    found = {}
    await consumer.start()
    try:
        consumer.assign(list(ends))
        async with asyncio.timeout(READ_TIMEOUT_S):
            while any([await consumer.position(partition) <= end for partition, end in ends.items()]):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    found.update({(it.topic, it.partition, it.offset): it for it in batch})
    finally:
        await consumer.stop()
    return found


def assert_acks_are_true(acks: Iterable[Ack], log: dict[tuple[str, int, int], Any]) -> None:
    for ack in acks:
        assert json.loads(log[ack.topic, ack.partition, ack.offset].value)["id"] == ack.event_id


def assert_first_copies_rise(log: dict[tuple[str, int, int], Any], keys: Iterable[str]) -> None:
    for key in keys:
        events = [json.loads(log[at].value) for at in sorted(log) if log[at].key == key.encode()]
        first = {event["id"]: int(event["sequence"]) for event in reversed(events)}
        sequences = [first[id_] for id_ in dict.fromkeys(event["id"] for event in events)]
        assert sequences == sorted(sequences)


async def test_an_acknowledged_event_is_in_the_log_where_the_ack_says(settings: Settings, broker: str):
    async with Producer(settings, source="/tests") as producer:
        draft = message()
        ack = await producer.publish(draft)

    record = (await records(broker, [ack]))[ack.topic, ack.partition, ack.offset]
    event = decode("conversations", record.key, record.value, ack.appended_at)
    assert isinstance(event, Event)
    assert (event.id, event.source) == (ack.event_id, "/tests")
    assert record.key.decode() == draft.data["channel_id"]
    assert record.headers == (("content-type", b"application/cloudevents+json"),)
    assert ack.appended_at
    assert record.timestamp == ack.appended_at.timestamp() * 1_000
    assert record.timestamp_type == 1  # the broker's append time


async def test_events_of_a_key_are_in_the_log_in_the_order_of_the_calls(settings: Settings, broker: str):
    keys = channels(20)
    async with Producer(settings, source="/tests") as producer:
        tasks = [asyncio.create_task(producer.publish(message(key))) for _ in range(50) for key in keys]
        acks = await asyncio.gather(*tasks)

    log = await records(broker, acks)
    assert_acks_are_true(acks, log)
    assert_first_copies_rise(log, keys)


async def test_an_event_of_the_greatest_size_is_published(settings: Settings, broker: str):
    async with Producer(settings, source="/tests") as producer:
        empty = len(producer.validate(message(content="")).value)
        noise = random.Random(1)
        text = "".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=2**20 - empty))
        ack = await producer.publish(message(content=text))

    assert len((await records(broker, [ack]))[ack.topic, ack.partition, ack.offset].value) == 2**20


async def test_many_events_give_their_results_in_order(settings: Settings):
    drafts = [message(user_id="nobody") if number % 10 == 3 else message() for number in range(1_000)]
    async with Producer(settings, source="/tests") as producer:
        results = await producer.publish_many(drafts)

    assert [isinstance(result, Refused) for result in results] == [number % 10 == 3 for number in range(1_000)]
    assert all(isinstance(result, Ack | Refused) for result in results)
    assert isinstance(results[3], Refused)
    assert results[3].error.path == "data.user_id"


async def test_leaving_the_block_flushes(settings: Settings, broker: str):
    async with Producer(settings, source="/tests") as producer:
        futures = [await producer.submit(message()) for _ in range(1_000)]

    acks = [future.result() for future in futures]
    assert_acks_are_true(acks, await records(broker, acks))


async def test_a_broker_that_accepts_and_never_answers_is_unreachable_within_the_bound(settings: Settings):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()

        with pytest.raises(UnreachableError, match=address):
            await Producer(settings, source="/tests", bootstrap_servers=address, options=QUICK).start()

        assert time.monotonic() - started < QUICK.connect_timeout_s + QUICK.discard_timeout_s + 1


async def test_an_answer_that_is_lost_is_unknown_within_the_deadline_and_the_producer_goes_on(
    settings: Settings, broker: str, proxy: Proxy
):
    key = channels(1)[0]
    async with Producer(settings, source="/tests", bootstrap_servers=proxy.address, options=QUICK) as producer:
        before = await producer.publish(message(key))
        proxy.muted = True
        answers, started = proxy.answers, time.monotonic()

        with pytest.raises(DeliveryUnknown) as caught:
            await producer.publish(message(key))

        assert time.monotonic() - started < QUICK.delivery_timeout_s + 1
        assert proxy.answers > answers
        proxy.muted = False
        after = await producer.publish(message(key))

    log = await records(broker, [before, after])
    assert_acks_are_true([before, after], log)
    ids = [json.loads(log[at].value)["id"] for at in sorted(log) if log[at].key == key.encode()]
    assert ids == [before.event_id, caught.value.event_id, after.event_id]


async def test_resending_an_event_of_unknown_outcome_gives_two_copies_of_one_event(
    settings: Settings, broker: str, proxy: Proxy
):
    async with Producer(settings, source="/tests", bootstrap_servers=proxy.address, options=QUICK) as producer:
        record = producer.validate(message())
        await producer.publish(message(record.key.decode()))
        proxy.muted = True
        with pytest.raises(DeliveryUnknown):
            await (await producer.submit_record(record))
        proxy.muted = False

        ack = await (await producer.submit_record(record))

    log = await records(broker, [ack])
    copies = [log[at] for at in sorted(log) if log[at].value == record.value]
    assert len(copies) == 2
    assert copies[-1].offset == ack.offset


@pytest.mark.parametrize("seed", range(3))
async def test_connections_that_break_cost_neither_an_event_nor_the_order(
    seed: int, settings: Settings, broker: str, proxy: Proxy
):
    dice = random.Random(seed)
    keys = channels(10)
    options = ProducerOptions(batch_max_events=20, reconnect_wait_min_s=0.01)

    async def disturb() -> None:
        while True:
            await proxy.after(dice.randrange(1, 10))
            proxy.muted = dice.random() < 0.5
            await proxy.after(1)
            await proxy.cut()
            proxy.muted = False

    async with Producer(settings, source="/tests", bootstrap_servers=proxy.address, options=options) as producer:
        disturbing = asyncio.create_task(disturb())
        results = await producer.publish_many(message(key) for _ in range(300) for key in keys)
        disturbing.cancel()

    acks = [result for result in results if isinstance(result, Ack)]
    assert len(acks) == 3_000
    log = await records(broker, acks)
    assert_acks_are_true(acks, log)
    assert_first_copies_rise(log, keys)


async def test_closing_while_the_broker_is_away_ends_in_time_and_says_what_is_open(settings: Settings, proxy: Proxy):
    options = ProducerOptions(close_timeout_s=0.5, discard_timeout_s=0.5, batch_max_events=1)
    producer = Producer(settings, source="/tests", bootstrap_servers=proxy.address, options=options)
    await producer.start()
    await producer.publish(message())
    proxy.muted = True
    key = channels(1)[0]
    futures = [await producer.submit(message(key)) for _ in range(3)]
    started = time.monotonic()

    unacknowledged = await producer.close()

    assert time.monotonic() - started < 3
    assert len(unacknowledged) == 3
    assert [type(failed) for failed in unacknowledged] == [Failed] * 3
    assert all(future.exception() for future in futures)


async def test_a_topic_that_is_missing_is_not_created_by_asking_for_it(
    stack_settings: Settings, broker: str, settings: Settings
):
    elsewhere = stack_settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"topic_prefix": f"{settings.kafka.topic_prefix}none."})}
    )

    async with Producer(elsewhere, source="/tests", bootstrap_servers=broker) as producer:
        with pytest.raises(TopicMissing):
            await producer.publish(message())
        with pytest.raises(TopicMissing):
            await producer.publish(message())


async def test_lines_are_taken_until_a_delivery_fails(settings: Settings, broker: str, proxy: Proxy):
    def line() -> bytes:
        draft = message()
        return json.dumps({"type": draft.type, "data": draft.data}, default=str).encode()

    async def lines() -> AsyncIterator[bytes]:
        for muted in (False, True, False):
            proxy.muted = muted
            yield line()
            await producer.flush()
        yield line()

    async with Producer(settings, source="/tests", bootstrap_servers=proxy.address, options=QUICK) as producer:
        report = await publish_lines(lines(), producer)

    assert (report.published, [it.line for it in report.failed], report.stopped_before) == (1, [2], 3)
    assert report.failed[0].unknown
    assert isinstance(report.first_failure, DeliveryUnknown)


async def test_sequences_rise_over_restarts_though_the_wall_clock_was_set_back(settings: Settings, tmp_path: Path):
    options = ProducerOptions(clock_state=tmp_path / "clock")
    now_us = time.time_ns() // 1_000
    sequences = []
    for back_us in (0, 30_000_000, 60_000_000):
        async with Producer(
            settings, source="/tests", options=options, now_us=lambda back_us=back_us: now_us - back_us
        ) as producer:
            record = producer.validate(message())
            await (await producer.submit_record(record))
            sequences.append(int(json.loads(record.value)["sequence"]))

    assert sequences == sorted(set(sequences))


def test_code_without_an_event_loop_publishes_from_many_threads(settings: Settings):
    keys = channels(8)
    with SyncProducer(Producer(settings, source="/tests")) as producer, ThreadPoolExecutor(8) as pool:
        acks = list(pool.map(lambda number: producer.publish(message(keys[number % 8])), range(200)))
        with pytest.raises(EventRefused):
            producer.publish(POSTED, {})
        (result,) = producer.publish_many([message()])

    assert len({(ack.topic, ack.partition, ack.offset) for ack in acks}) == 200
    assert isinstance(result, Ack)
    with pytest.raises(ProducerClosed):
        producer.publish(message())


def publish(settings: Settings, lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
    environment |= {
        "TAILRACE_DATA_DIR": str(settings.data_dir.absolute()),
        "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
    }
    return subprocess.run(
        [sys.executable, "-c", "from tailrace.cli.main import run; run()", "publish", "-", *arguments],
        env=environment,
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("good", "bad", "exit_code"), [(500, 0, 0), (20, 3, 7), (0, 2, 6), (0, 0, 0)], ids=["all", "some", "none", "empty"]
)
def test_the_command_publishes_what_fits_and_lists_the_rest(good: int, bad: int, exit_code: int, settings: Settings):
    draft = json.dumps({"type": POSTED, "data": json.loads(json.dumps(message().data, default=str))})
    lines = itertools.chain(["{}"] * bad, [draft] * good)

    done = publish(settings, "\n".join(lines), "-o", "json")

    assert done.returncode == exit_code
    document = json.loads(done.stdout)
    assert document["published"] == good
    assert [(it["line"], it["code"]) for it in document["refused"]] == [(n + 1, "E_SCHEMA") for n in range(bad)]
    assert document["failed"] == []
