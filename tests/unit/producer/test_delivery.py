"""The delivery against a broker in memory that loses answers, refuses, hangs and goes away."""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tailrace.errors import UnreachableError
from tailrace.producer import DeliveryUnknown, NotDelivered, ProducerClosed, ProducerOptions, TopicMissing
from tailrace.producer.connection import BatchRefused, ConnectionUnusable, Receipt, Record, key_hash
from tailrace.producer.delivery import Delivery

APPENDED_AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FAST = ProducerOptions(
    delivery_timeout_s=20,
    close_timeout_s=20,
    reconnect_wait_min_s=0.001,
    reconnect_wait_max_s=0.001,
    batch_max_events=7,
)
TOPIC = "acme.conversations"


async def answers(append: Callable[[], Receipt]) -> Receipt:
    return append()


async def loses_the_answer(append: Callable[[], Receipt]) -> Receipt:
    append()
    raise ConnectionUnusable("connection reset")


async def loses_the_batch(append: Callable[[], Receipt]) -> Receipt:
    raise ConnectionUnusable("connection reset")


async def hangs(append: Callable[[], Receipt]) -> Receipt:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def refuses(append: Callable[[], Receipt]) -> Receipt:
    raise BatchRefused("PolicyViolationError", too_large=False)


async def has_it_already(append: Callable[[], Receipt]) -> Receipt:
    append()
    return Receipt(None, None)


Start = Callable[..., Awaitable[Delivery]]
Behaviour = Callable[[Callable[[], Receipt]], Awaitable[Receipt]]


@dataclass
class Broker:
    """A log per partition; `behaviour` is asked for every batch."""

    behaviour: Callable[[list[Record]], Behaviour] = field(default=lambda _: answers)
    partitions: dict[str, int] = field(default_factory=lambda: {TOPIC: 3})
    log: defaultdict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    up: bool = True
    opened: int = 0
    discarded: int = 0
    batches: int = 0

    async def open(self) -> "Link":
        if not self.up:
            raise UnreachableError("no Kafka broker answers at nowhere")
        self.opened += 1
        return Link(self)

    def all(self) -> list[Record]:
        return [record for records in self.log.values() for record in records]


@dataclass
class Link:
    broker: Broker

    async def refresh(self) -> None:
        pass

    def partition_count(self, topic: str) -> int | None:
        return self.broker.partitions.get(topic)

    def batch(self, records: Iterable[Record]) -> tuple[list[Record], int]:
        batch = list(records)
        return batch, len(batch)

    async def deliver(self, batch: list[Record], topic: str, partition: int) -> Receipt:
        def append() -> Receipt:
            log = self.broker.log[topic, partition]
            log.extend(batch)
            return Receipt(len(log) - len(batch), APPENDED_AT)

        self.broker.batches += 1
        return await self.broker.behaviour(batch)(append)

    async def discard(self) -> None:
        self.broker.discarded += 1


def record(number: int, key: str = "k", topic: str = TOPIC, size: int = 10) -> Record:
    return Record(topic, key.encode(), b"x" * size, f"{key}-{number}")


@pytest.fixture
async def started():
    """Makes a started delivery to a broker; all are closed at the end."""
    made = []

    async def start(broker: Broker, options: ProducerOptions = FAST) -> Delivery:
        delivery = Delivery(broker.open, options)
        await delivery.start()
        made.append(delivery)
        return delivery

    yield start
    for delivery in made:
        await delivery.close()


async def turns(count: int = 20) -> None:
    """Let everything that can run do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], turns_max: int = 1_000) -> None:
    for _ in range(turns_max):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


def first_copies(records: list[Record], key: bytes) -> list[str]:
    return list(dict.fromkeys(record.event_id for record in records if record.key == key))


@pytest.mark.parametrize("seed", range(30))
async def test_every_ack_is_true_and_first_copies_are_in_order_whatever_the_connection_does(seed: int, started: Start):
    dice = random.Random(seed)
    faults: tuple[Behaviour, ...] = (answers, answers, answers, loses_the_answer, loses_the_batch)
    broker = Broker(behaviour=lambda _: dice.choice(faults))
    delivery = await started(broker)
    records = [record(number, key=f"k{dice.randrange(5)}") for number in range(200)]

    acks = await asyncio.gather(*[await delivery.submit(it) for it in records])

    for sent, ack in zip(records, acks, strict=True):
        assert ack.event_id == sent.event_id
        assert broker.log[ack.topic, ack.partition][ack.offset] == sent
        assert ack.partition == key_hash(sent.key) % 3
    for key in {it.key for it in records}:
        assert first_copies(broker.all(), key) == [it.event_id for it in records if it.key == key]


async def test_without_faults_nothing_is_sent_twice_and_one_connection_does(started: Start):
    broker = Broker()
    delivery = await started(broker)

    futures = [await delivery.submit(record(number)) for number in range(50)]
    await delivery.flush()

    assert [future.result().offset for future in futures] == list(range(50))
    assert (len(broker.all()), broker.opened) == (50, 1)


async def test_a_connection_that_owes_an_answer_is_replaced_in_time_and_the_order_stays(started: Start):
    behaviours = itertools.chain([hangs], itertools.repeat(answers))
    broker = Broker(behaviour=lambda _: next(behaviours))
    options = ProducerOptions(delivery_timeout_s=0.4, reconnect_wait_min_s=0.001, batch_max_events=2)
    delivery = await started(broker, options)

    acks = await asyncio.gather(*[await delivery.submit(record(number)) for number in range(5)])

    assert [ack.offset for ack in acks] == [0, 1, 2, 3, 4]
    assert (broker.opened, broker.discarded) == (2, 1)


async def test_without_any_answer_the_outcome_is_unknown_and_later_events_arrive(started: Start):
    behaviour: list[Behaviour] = [hangs]
    broker = Broker(behaviour=lambda _: behaviour[0])
    delivery = await started(broker, ProducerOptions(delivery_timeout_s=0.2, reconnect_wait_min_s=0.001))

    with pytest.raises(
        DeliveryUnknown, match=r"may or may not be in the log: no acknowledgement .*given up after 0\.2 s"
    ):
        await (await delivery.submit(record(1)))

    behaviour[0] = answers
    assert (await (await delivery.submit(record(2)))).offset == 0
    assert [it.event_id for it in broker.all()] == ["k-2"]


async def test_events_that_run_out_of_time_do_not_cost_a_connection_that_answers(started: Start):
    async def answers_slowly(append: Callable[[], Receipt]) -> Receipt:
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.05)
        return append()

    broker = Broker(behaviour=lambda _: answers_slowly)
    delivery = await started(broker, ProducerOptions(delivery_timeout_s=0.2, batch_max_events=1))
    futures = [await delivery.submit(record(number)) for number in range(20)]

    results = await asyncio.gather(*futures, return_exceptions=True)

    assert any(isinstance(result, NotDelivered) for result in results)
    assert (broker.opened, broker.discarded) == (1, 0)


async def test_what_was_never_handed_over_is_certainly_not_in_the_log(started: Start):
    async def goes_away(append: Callable[[], Receipt]) -> Receipt:
        broker.up = False
        raise ConnectionUnusable("connection reset")

    broker = Broker(behaviour=lambda _: goes_away)
    delivery = await started(broker, ProducerOptions(delivery_timeout_s=0.2, reconnect_wait_min_s=0.001))
    handed_over = await delivery.submit(record(1))
    await until(lambda: broker.discarded == 1)
    kept_back = await delivery.submit(record(2))

    results = await asyncio.gather(handed_over, kept_back, return_exceptions=True)

    assert [type(result) for result in results] == [DeliveryUnknown, NotDelivered]
    assert "event k-2 is not in the log: no Kafka broker answers at nowhere" in str(results[1])
    assert [result.exit_code for result in results] == [5, 5]


async def test_a_batch_that_the_broker_refuses_fails_alone(started: Start):
    broker = Broker(behaviour=lambda batch: refuses if batch[0].event_id == "k-1" else answers)
    delivery = await started(broker, ProducerOptions(batch_max_events=1, reconnect_wait_min_s=0.001))
    futures = [await delivery.submit(record(number)) for number in range(3)]

    results = await asyncio.gather(*futures, return_exceptions=True)

    assert isinstance(results[1], NotDelivered)
    assert "PolicyViolationError" in str(results[1])
    assert [it.event_id for it in broker.all()] == ["k-0", "k-2"]


async def test_a_batch_that_is_too_large_for_the_broker_is_sent_one_by_one(started: Start):
    async def too_large(append: Callable[[], Receipt]) -> Receipt:
        raise BatchRefused("MessageSizeTooLargeError", too_large=True)

    broker = Broker(behaviour=lambda batch: too_large if len(batch) > 1 else answers)
    delivery = await started(broker)
    futures = [await delivery.submit(record(number)) for number in range(5)]

    acks = await asyncio.gather(*futures)

    assert [ack.offset for ack in acks] == [0, 1, 2, 3, 4]


async def test_an_ack_without_an_offset_makes_none_up(started: Start):
    delivery = await started(Broker(behaviour=lambda _: has_it_already))

    ack = await (await delivery.submit(record(1)))

    assert (ack.offset, ack.appended_at) == (None, None)


async def test_what_expires_while_the_broker_is_away_does_not_pile_up(started: Start):
    async def goes_away(append: Callable[[], Receipt]) -> Receipt:
        broker.up = False
        raise ConnectionUnusable("connection reset")

    broker = Broker(behaviour=lambda _: goes_away)
    options = ProducerOptions(delivery_timeout_s=0.05, in_flight_max_events=10, reconnect_wait_min_s=0.001)
    delivery = await started(broker, options)
    await asyncio.wait([await delivery.submit(record(0))])

    for _ in range(3):
        futures = [await delivery.submit(record(number)) for number in range(10)]
        assert all(isinstance(it, NotDelivered) for it in await asyncio.gather(*futures, return_exceptions=True))

    assert list(delivery._backlog.admitted) == []  # noqa: SLF001 - memory is not seen from outside


async def test_a_topic_that_is_missing_fails_its_events_and_no_others(started: Start):
    delivery = await started(Broker())
    lost = await delivery.submit(record(1, topic="acme.files"))
    kept = await delivery.submit(record(2))

    assert (await kept).offset == 0
    with pytest.raises(TopicMissing, match=r"topic acme\.files does not exist"):
        await lost


async def test_partitions_that_are_added_wait_for_what_is_under_way_to_the_old_ones(started: Start):
    gate = asyncio.Event()

    async def after_the_gate(append: Callable[[], Receipt]) -> Receipt:
        await gate.wait()
        return append()

    broker = Broker(behaviour=lambda _: after_the_gate, partitions={TOPIC: 1})
    delivery = await started(broker)
    before = await delivery.submit(record(1, key="c"))
    await until(lambda: broker.batches == 1)
    broker.partitions[TOPIC] = 8
    after = await delivery.submit(record(2, key="c"))
    await turns()
    assert broker.batches == 1
    gate.set()

    acks = await asyncio.gather(before, after)

    assert key_hash(b"c") % 8 != 0
    assert [ack.partition for ack in acks] == [0, key_hash(b"c") % 8]


async def test_the_buffer_is_bounded_and_lets_events_in_in_their_order(started: Start):
    gate = asyncio.Event()

    async def after_the_gate(append: Callable[[], Receipt]) -> Receipt:
        await gate.wait()
        return append()

    broker = Broker(behaviour=lambda _: after_the_gate)
    delivery = await started(broker, ProducerOptions(in_flight_max_events=10))
    tasks = [asyncio.create_task(delivery.submit(record(number))) for number in range(30)]
    await turns()
    assert [task.done() for task in tasks] == [True] * 10 + [False] * 20

    gate.set()
    await asyncio.gather(*[await task for task in tasks])

    assert [it.event_id for it in broker.all()] == [f"k-{number}" for number in range(30)]


async def test_the_buffer_is_bounded_in_bytes_too_but_takes_one_event_of_any_size(started: Start):
    broker = Broker(behaviour=lambda _: hangs)
    delivery = await started(broker, ProducerOptions(in_flight_max_bytes=1_000, close_timeout_s=0))
    large = asyncio.create_task(delivery.submit(record(1, size=5_000)))
    small = asyncio.create_task(delivery.submit(record(2)))
    await turns()

    assert (large.done(), small.done()) == (True, False)

    small.cancel()


async def test_an_event_that_finds_no_room_in_time_was_not_sent(started: Start):
    broker = Broker(behaviour=lambda _: hangs)
    delivery = await started(broker, ProducerOptions(in_flight_max_events=1, delivery_timeout_s=0.2, close_timeout_s=0))
    first, second = await delivery.submit(record(1)), await delivery.submit(record(2))

    results = await asyncio.gather(first, second, return_exceptions=True)

    assert [type(result) for result in results] == [DeliveryUnknown, NotDelivered]


async def test_a_caller_that_goes_away_takes_its_event_back(started: Start):
    gate = asyncio.Event()

    async def after_the_gate(append: Callable[[], Receipt]) -> Receipt:
        await gate.wait()
        return append()

    broker = Broker(behaviour=lambda _: after_the_gate)
    delivery = await started(broker, ProducerOptions(in_flight_max_events=2, batch_max_events=1))
    kept, withdrawn = await delivery.submit(record(1)), await delivery.submit(record(2))
    waiting = asyncio.create_task(delivery.submit(record(3)))
    await until(lambda: broker.batches == 1)
    withdrawn.cancel()
    waiting.cancel()
    gate.set()

    await kept
    last = await (await delivery.submit(record(4)))

    assert [it.event_id for it in broker.all()] == ["k-1", "k-4"]
    assert last.offset == 1


async def test_close_flushes(started: Start):
    broker = Broker()
    delivery = await started(broker)
    futures = [await delivery.submit(record(number)) for number in range(100)]

    assert await delivery.close() == ()

    assert all(future.done() and future.result() for future in futures)
    with pytest.raises(ProducerClosed):
        await delivery.submit(record(101))


async def test_close_reports_what_was_not_acknowledged_in_time(started: Start):
    behaviours = itertools.chain([answers], itertools.repeat(hangs))
    broker = Broker(behaviour=lambda _: next(behaviours))
    delivery = await started(broker, ProducerOptions(close_timeout_s=0.1, batch_max_events=1))
    futures = [await delivery.submit(record(number)) for number in range(3)]
    await futures[0]
    await until(lambda: broker.batches == 2)

    unacknowledged = await delivery.close()

    assert [(failed.event_id, type(failed.error)) for failed in unacknowledged] == [
        ("k-1", DeliveryUnknown),
        ("k-2", NotDelivered),
    ]


async def test_a_fault_of_ours_ends_in_another_attempt(started: Start):
    async def breaks(append: Callable[[], Receipt]) -> Receipt:
        raise ZeroDivisionError

    behaviours = itertools.chain([breaks], itertools.repeat(answers))
    broker = Broker(behaviour=lambda _: next(behaviours))
    delivery = await started(broker)

    assert (await (await delivery.submit(record(1)))).offset == 0


async def test_starting_without_a_broker_says_so():
    with pytest.raises(UnreachableError):
        await Delivery(Broker(up=False).open, FAST).start()
