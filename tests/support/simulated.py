"""A log, a group and a store in memory, with the faults of the real ones at the command of a seed.

`Broker` holds records and assigns partitions; `SimulatedLog` is one member; `Store` holds progress and what was
applied, changed all at once or not at all; `SimulatedSink` is one worker's connection to it. The same conformance tests
run against these and against Kafka and PostgreSQL.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tailrace.consumers.batch import Batch, Outcome, Record, TopicPartition
from tailrace.consumers.errors import (
    BrokenLogError,
    FencedError,
    LogUnreachableError,
    OutOfRangeError,
    RefusedByStoreError,
)
from tailrace.consumers.progress import Claim

OnRevoked = Callable[[set[TopicPartition]], Awaitable[None]]
OnAssigned = Callable[[set[TopicPartition]], None]


class StoreAwayError(OSError):
    """The store does not answer, or its answer is lost."""


@dataclass
class Broker:
    """Partitions of records, and one consumer group over them with eager rebalances."""

    rng: random.Random
    records: dict[TopicPartition, list[Record]]
    beginnings: dict[TopicPartition, int] = field(default_factory=dict)
    members: list["SimulatedLog"] = field(default_factory=list)
    away: bool = False
    damaged: dict[TopicPartition, int] = field(default_factory=dict)
    """By partition the offset at which a batch begins that cannot be read."""
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    _rebalancing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def beginning(self, partition: TopicPartition) -> int:
        return self.beginnings.get(partition, 0)

    def end(self, partition: TopicPartition) -> int:
        records = self.records[partition]
        return records[-1].offset + 1 if records else self.beginning(partition)

    async def rebalance(self, rebalance_timeout_s: float = 60) -> None:
        """Take everything back, then deal the partitions anew; who does not answer in time is left out of the wait."""
        async with self._rebalancing:
            members = [member for member in self.members if not member.stopped]
            revokes = [asyncio.create_task(member.revoke()) for member in members]
            if revokes:
                await asyncio.wait(revokes, timeout=rebalance_timeout_s)
            members = [member for member in self.members if not member.stopped]
            partitions = sorted(self.records)
            self.rng.shuffle(partitions)
            for index, member in enumerate(members):
                member.assign(set(partitions[index :: len(members)]))


class SimulatedLog:
    """One member of the group; see `tailrace.consumers.log.Log`."""

    def __init__(self, broker: Broker, rng: random.Random) -> None:
        self._broker = broker
        self._rng = rng
        self._positions: dict[TopicPartition, int | None] = {}
        self._stale: dict[TopicPartition, list[Record]] = {}
        self.stopped = False
        self.mute: TopicPartition | None = None
        """Of which nothing is given out any more, and nothing said."""
        self._on_assigned: OnAssigned | None = None
        self._on_revoked: OnRevoked | None = None
        self.awake = asyncio.Event()
        self.awake.set()

    async def start(self, topics: Iterable[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        del topics
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self._broker.members.append(self)
        await self._broker.rebalance()

    async def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            await self._broker.rebalance()

    def vanish(self) -> None:
        """What SIGKILL leaves: a member that the group still believes in until the next rebalance."""
        self.stopped = True

    async def revoke(self) -> None:
        await self.awake.wait()
        if self._on_revoked is not None:
            await self._on_revoked(set(self._positions))
        self._positions = {}

    def assign(self, partitions: set[TopicPartition]) -> None:
        self._positions = dict.fromkeys(partitions)
        if self._on_assigned is not None:
            self._on_assigned(partitions)

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            if partition in self._positions:
                self._positions[partition] = None

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        for partition, offset in positions.items():
            if partition in self._positions:
                held = self._positions[partition]
                if held is not None and self._rng.random() < 0.3:
                    # What was fetched before a seek may still arrive once.
                    self._stale[partition] = self._slice(partition, held, 5)
                self._positions[partition] = offset

    async def bounds(
        self, partitions: Iterable[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        await asyncio.sleep(self._rng.random() * 0.01)
        if self._broker.away:
            raise LogUnreachableError("Away")
        wanted = list(partitions)
        return (
            {partition: self._broker.beginning(partition) for partition in wanted},
            {partition: self._broker.end(partition) for partition in wanted},
        )

    async def fetch(
        self, wait_ms: int, records_max: int, of: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, list[Record]]:
        await self.awake.wait()
        await asyncio.sleep(self._rng.random() * 0.01)
        if self._broker.away:
            raise LogUnreachableError("Away")
        found: dict[TopicPartition, list[Record]] = {}
        for partition in self._rng.sample(sorted(self._positions), k=len(self._positions)):
            position = self._positions.get(partition)
            if position is None or records_max <= 0 or self._withholds(partition, of):
                continue
            if stale := self._stale.pop(partition, None):
                found[partition] = stale
                continue
            if not self._broker.beginning(partition) <= position <= self._broker.end(partition):
                raise OutOfRangeError(frozenset({partition}))
            records = self._slice(partition, position, min(records_max, self._rng.randint(1, 40)))
            damaged = self._broker.damaged.get(partition)
            if records and damaged is not None and position <= damaged <= records[-1].offset:
                records = [record for record in records if record.offset < damaged]
                if not records:
                    self._give_again(found)
                    raise BrokenLogError(partition)
            if records:
                self._positions[partition] = records[-1].offset + 1
                records_max -= len(records)
                found[partition] = records
        if not found:
            await asyncio.sleep(wait_ms / 1000)
        return found

    def _withholds(self, partition: TopicPartition, of: Collection[TopicPartition] | None) -> bool:
        """Whether this call gives nothing of the partition. A log that cannot choose gives what it has."""
        is_wanted = of is None or partition in of or self._rng.random() < 0.1
        return partition == self.mute or not is_wanted or self._rng.random() < 0.2

    def _give_again(self, found: Mapping[TopicPartition, list[Record]]) -> None:
        """A call that fails has given nothing."""
        for partition, records in found.items():
            self._positions[partition] = records[0].offset

    def _slice(self, partition: TopicPartition, offset: int, count: int) -> list[Record]:
        return [record for record in self._broker.records[partition] if record.offset >= offset][:count]

    def high_water(self, partition: TopicPartition) -> int | None:
        return self._broker.end(partition)

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if not self.stopped:
            self._broker.committed |= positions


@dataclass
class Store:
    """Progress and applied records of one projection; survives every worker."""

    progress: dict[TopicPartition, tuple[int, int, str | None]] = field(default_factory=dict)
    halted: dict[TopicPartition, str] = field(default_factory=dict)
    applied: list[tuple[TopicPartition, int]] = field(default_factory=list)
    dead: list[tuple[TopicPartition, int, str]] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)
    away: bool = False
    compares: bool = True
    """False is the mutant without compare-and-set: it must make the runs fail."""


class SimulatedProgress:
    """See `tailrace.consumers.sink.Progress`."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self._store = store
        self._rng = rng

    async def claim(self, beginnings: Mapping[TopicPartition, int], owner: str) -> dict[TopicPartition, Claim]:
        del owner
        await self._round_trip()
        claims = {}
        for partition, beginning in beginnings.items():
            next_offset, epoch, mark = self._store.progress.get(partition, (beginning, 0, None))
            self._store.progress[partition] = (next_offset, epoch + 1, mark)
            claims[partition] = Claim(partition, next_offset, epoch + 1, mark, self._store.halted.get(partition))
        await self._round_trip()
        return claims

    async def halt(self, partition: TopicPartition, code: str, reason: str) -> None:
        del reason
        await self._round_trip()
        self._store.halted[partition] = code

    async def _round_trip(self) -> None:
        await asyncio.sleep(self._rng.random() * 0.02)
        if self._store.away:
            raise StoreAwayError


class SimulatedSink:
    """One worker's side of the store; see `tailrace.consumers.sink.Sink`."""

    alone = frozenset({"directory"})

    def __init__(self, store: Store, topics: Mapping[str, str], rng: random.Random) -> None:
        self.topics: Mapping[str, str] = dict(topics)
        self.progress = SimulatedProgress(store, rng)
        self._store = store
        self._rng = rng
        self.faults = 0.02
        self.slow_s = 0.05
        self.awake = asyncio.Event()
        self.awake.set()

    def prefetch(self, batch: Batch) -> None:
        """Nothing is read here."""

    async def apply(self, batch: Batch) -> Outcome:
        await asyncio.sleep(self._rng.random() * self.slow_s)
        await (
            self.awake.wait()
        )  # a stopped process wakes here, with its batch in hand, long after it lost the partition
        self._refuse_if_away()
        if any(event.id in self._store.poison for event in batch.events):
            raise RefusedByStoreError("22000", "DataError")
        moved = {
            tp
            for tp, span in batch.spans.items()
            if self._store.progress.get(tp, (0, 0, None))[:2] != (span.expected, span.epoch)
        }
        if moved and self._store.compares:
            ours = all(
                self._store.progress.get(tp, (0, 0, None))[:2] == (span.reached, span.epoch)
                for tp, span in batch.spans.items()
            )
            if not ours:
                raise FencedError(frozenset(moved))
            return Outcome(events=len(batch.events))
        self._commit(batch)
        await asyncio.sleep(self._rng.random() * self.slow_s)
        self._refuse_if_away()
        return Outcome(events=len(batch.events), refused=len(batch.refusals))

    def _commit(self, batch: Batch) -> None:
        for tp, span in batch.spans.items():
            self._store.progress[tp] = (span.reached, span.epoch, span.fingerprint)
        for event in batch.events:
            self._store.applied.append((TopicPartition(self.topics[event.topic], event.partition), event.offset))
        for record, refusal in batch.refusals:
            tp = TopicPartition(record.topic, record.partition)
            self._store.dead.append((tp, record.offset, str(refusal.code)))

    def _refuse_if_away(self) -> None:
        if self._store.away or self._rng.random() < self.faults:
            raise StoreAwayError

    def is_retryable(self, error: BaseException) -> bool:
        return isinstance(error, StoreAwayError)

    def is_unreachable(self, error: BaseException) -> bool:
        return isinstance(error, StoreAwayError)

    def discard(self) -> None:
        """Nothing is remembered here."""

    async def close(self) -> None:
        """Nothing is held."""


def sorted_applied(store: Store) -> dict[Any, list[int]]:
    """Offsets in the order in which they were applied, by partition."""
    found: dict[Any, list[int]] = {}
    for partition, offset in store.applied:
        found.setdefault(partition, []).append(offset)
    return found
