"""Brings records into the log: in order per partition, over one connection after the other."""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import islice, takewhile
from typing import Any, Final

import structlog

from tailrace.errors import TailraceError, UnreachableError
from tailrace.producer.connection import BatchRefused, Connection, ConnectionUnusable, Receipt, Record, key_hash
from tailrace.producer.errors import NotDelivered, ProducerClosed, TopicMissing
from tailrace.producer.options import ProducerOptions
from tailrace.producer.pending import Backlog, Pending
from tailrace.producer.results import Ack, Failed

log = structlog.get_logger(__name__)

OpenConnection = Callable[[], Coroutine[Any, Any, Connection]]

TOPIC_RECHECK_S: Final = 1.0
"""A topic that is missing is asked for at most this often."""


class Lane:
    """The records of one partition: one batch at a time is in flight, so nothing in it can overtake.

    aiokafka's own `send` does not give that: of two tasks that wait for room in a batch, the later may get in first.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.queue: deque[Pending] = deque()
        self.in_flight: list[Pending] = []
        self.departed_at = 0.0
        """When the batch in flight was handed over, in the loop's time."""
        self.running = False
        self.single = False
        """One record per batch from now on: the broker takes smaller batches than ours."""

    @property
    def busy(self) -> bool:
        return bool(self.queue or self.in_flight)

    def head(self, limit: int) -> list[Pending]:
        """Return the first records that somebody still waits for, at most `limit`, and leave them in the queue."""
        while self.queue and self.queue[0].settled:
            self.queue.popleft()
        wanted = takewhile(lambda pending: not pending.settled, self.queue)
        return list(islice(wanted, 1 if self.single else limit))

    def depart(self, count: int, now: float) -> None:
        """Take the first `count` records off the queue and mark them as handed over."""
        self.departed_at = now
        self.in_flight = [self.queue.popleft() for _ in range(count)]
        for pending in self.in_flight:
            pending.attempts += 1

    def arrive(self, receipt: Receipt) -> None:
        """Acknowledge what is in flight."""
        for index, pending in enumerate(self.in_flight):
            if not pending.settled:
                offset = None if receipt.base_offset is None else receipt.base_offset + index
                event_id = pending.record.event_id
                pending.future.set_result(Ack(self.topic, self.partition, offset, event_id, receipt.appended_at))
        self.in_flight = []

    def requeue(self) -> None:
        """Put what was in flight back in front, in its order."""
        self.queue.extendleft(reversed(self.in_flight))
        self.in_flight = []


class Delivery:
    """Takes records in, keeps their order per key, and gives each an Ack or an error before its deadline.

    When a connection fails or owes an answer for too long, it is discarded, and what was in flight is sent again on the
    next one before anything newer of the same partition. So the log may hold a record twice, but the first copies are
    in order. A record that has run out of time is not sent again.
    """

    def __init__(self, open_connection: OpenConnection, options: ProducerOptions) -> None:
        self._open_connection = open_connection
        self._options = options
        self._wake = asyncio.Event()
        self._backlog = Backlog(options, self._wake.set)
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._partition_counts: dict[str, int] = {}
        self._missing: dict[str, float] = {}
        self._runner: asyncio.Task[None] | None = None
        self._closing = False
        self._progressed = False

    async def start(self) -> None:
        """Open the first connection; raises `UnreachableError`."""
        connection = await self._open_connection()
        self._runner = asyncio.create_task(self._run(connection), name="tailrace-producer")

    async def submit(self, record: Record) -> "asyncio.Future[Ack]":
        """Wait for room, then return the future of the record's Ack; never waits longer than the record's deadline."""
        if self._runner is None or self._closing:
            raise ProducerClosed
        pending = self._backlog.offer(record)
        await self._backlog.admission(pending)
        return pending.future

    async def flush(self) -> None:
        """Wait until everything submitted so far has its result."""
        if futures := [pending.future for pending in self._backlog.unsettled()]:
            await asyncio.wait(futures)

    async def close(self) -> tuple[Failed, ...]:
        """Flush within `close_timeout_s` and let go of everything; returns what was not acknowledged, oldest first."""
        self._closing = True
        if self._runner is None:
            return ()
        waiting = self._backlog.unsettled()
        if waiting:
            await asyncio.wait([pending.future for pending in waiting], timeout=self._options.close_timeout_s)
        for pending in self._backlog.unsettled():
            pending.fail(pending.unacknowledged(f"the producer was closed; {self._backlog.problem or 'no answer yet'}"))
        self._runner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._runner
        self._runner = None
        self._backlog.close()
        return tuple(
            Failed(pending.record.event_id, error)
            for pending in waiting
            if not pending.future.cancelled() and isinstance(error := pending.future.exception(), TailraceError)
        )

    async def _run(self, connection: Connection | None) -> None:
        wait_s = self._options.reconnect_wait_min_s
        while True:
            self._progressed = False
            try:
                await self._serve(connection or await self._reopen())
            except UnreachableError as error:
                self._backlog.problem = str(error)
                log.warning("producer_unreachable", waiting=len(self._backlog))
            except Exception:
                # A fault of ours must not end the task: callers would wait with nobody behind.
                self._backlog.problem = "internal error"
                log.exception("producer_fault")
            connection = None
            if self._progressed:
                wait_s = self._options.reconnect_wait_min_s
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, self._options.reconnect_wait_max_s)

    async def _reopen(self) -> Connection:
        while not self._backlog:
            self._wake.clear()
            await self._wake.wait()
        return await self._open_connection()

    async def _serve(self, connection: Connection) -> None:
        """Send over one connection until it fails."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                tasks.create_task(self._route(connection, tasks))
        except* ConnectionUnusable as failures:
            reason = self._backlog.problem = str(failures.exceptions[0])
            in_flight = sum(len(lane.in_flight) for lane in self._lanes.values())
            log.warning("producer_connection_failed", reason=reason, in_flight=in_flight, waiting=len(self._backlog))
        finally:
            for lane in self._lanes.values():
                lane.requeue()
            await _whole(connection.discard())

    async def _watch(self) -> None:
        limit_s = self._options.answer_timeout_s
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            left_s = limit_s + min(
                (lane.departed_at - now for lane in self._lanes.values() if lane.in_flight), default=0
            )
            if left_s <= 0:
                raise ConnectionUnusable(f"no acknowledgement for {limit_s:g} s")
            await asyncio.sleep(left_s)

    async def _route(self, connection: Connection, tasks: asyncio.TaskGroup) -> None:
        for waiting in self._lanes.values():
            self._start(waiting, connection, tasks)
        admitted = self._backlog.admitted
        while True:
            self._wake.clear()
            while admitted:
                pending, topic = admitted[0], admitted[0].record.topic
                count = connection.partition_count(topic) or await self._look_for(topic, connection)
                if not count:
                    pending.fail(TopicMissing(topic))
                if not pending.settled:
                    lane = self._lane_for(pending, count)
                    if lane is None:
                        break
                    lane.queue.append(pending)
                    self._start(lane, connection, tasks)
                # Those that were settled meanwhile may be gone already.
                if admitted and admitted[0] is pending:
                    admitted.popleft()
            await self._wake.wait()

    def _lane_for(self, pending: Pending, count: int) -> Lane | None:
        """Return the lane of a record whose topic has `count` partitions; None while it must wait."""
        topic = pending.record.topic
        known = self._partition_counts.setdefault(topic, count)
        if known != count:
            # Keys move to other partitions: what is under way to the old ones must be there first.
            if any(lane.busy for lane in self._lanes.values() if lane.topic == topic):
                return None
            self._partition_counts[topic] = count
        partition = key_hash(pending.record.key) % count
        if (topic, partition) not in self._lanes:
            self._lanes[topic, partition] = Lane(topic, partition)
        return self._lanes[topic, partition]

    async def _look_for(self, topic: str, connection: Connection) -> int:
        """Ask the broker for a topic that it did not tell of; 0 where it does not exist."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._missing.get(topic, -math.inf) < TOPIC_RECHECK_S:
            return 0
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                await connection.refresh()
        except TimeoutError as error:
            raise ConnectionUnusable("no metadata") from error
        if count := connection.partition_count(topic):
            return count
        if topic in self._partition_counts:
            # A broker that is still starting tells of fewer topics than there are.
            raise ConnectionUnusable(f"topic {topic} is not there any more")
        self._missing[topic] = loop.time()
        return 0

    def _start(self, lane: Lane, connection: Connection, tasks: asyncio.TaskGroup) -> None:
        if lane.queue and not lane.running:
            lane.running = True
            tasks.create_task(self._drive(lane, connection))

    async def _drive(self, lane: Lane, connection: Connection) -> None:
        try:
            while pendings := lane.head(self._options.batch_max_events):
                batch, count = connection.batch(pending.record for pending in pendings)
                lane.depart(count, asyncio.get_running_loop().time())
                try:
                    receipt = await connection.deliver(batch, lane.topic, lane.partition)
                except BatchRefused as refusal:
                    self._refuse(lane, refusal)
                    raise ConnectionUnusable(f"the broker refused a batch: {refusal}") from refusal
                lane.arrive(receipt)
                self._progressed = True
                self._backlog.problem = ""
        finally:
            lane.running = False
            self._wake.set()

    @staticmethod
    def _refuse(lane: Lane, refusal: BatchRefused) -> None:
        if refusal.too_large and len(lane.in_flight) > 1:
            lane.single = True
            return
        for pending in lane.in_flight:
            # Refused now says nothing of an earlier attempt that was never answered.
            reason = f"the broker refused it: {refusal}"
            event_id = pending.record.event_id
            pending.fail(
                pending.unacknowledged(reason)
                if pending.attempts > 1
                else NotDelivered(event_id, f"event {event_id} is not in the log: {reason}", fix="tailrace topics plan")
            )


async def _whole(ending: Coroutine[Any, Any, None]) -> None:
    """Await something to its end, also when the awaiting task is cancelled meanwhile."""
    task = asyncio.create_task(ending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
