"""The log up to given offsets, read without a group: what a worker reads that must end where another one stands."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.kafka_log import FETCH_MAX_BYTES, PARTITION_FETCH_BYTES, KafkaLog
from tailrace.consumers.log import Log, OnAssigned, OnRevoked
from tailrace.settings import KafkaSettings, Settings

Until = Mapping[TopicPartition, int]
"""By partition (full topic name) the offset before which it ends: the `next_offset` to be reached."""


class BoundedLog(KafkaLog):
    """All partitions of `until`, each from where it is told to be read to the offset given there.

    `until` may be moved on by `extend`; `is_exhausted` says whether everything before it was handed out.
    """

    def __init__(self, bootstrap: str, until: Until, settings: KafkaSettings) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            request_timeout_ms=settings.request_timeout_ms,
            fetch_max_bytes=FETCH_MAX_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            check_crcs=True,
        )
        self._until = dict(until)
        self._next: dict[TopicPartition, int] = {}

    async def start(self, topics: Iterable[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Take the partitions, held until somebody says where to read."""
        del topics, on_revoked
        await self._consumer.start()
        self._consumer.assign([KafkaPartition(*tp) for tp in self._until])
        self.hold(self._until)
        on_assigned(set(self._until))

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching these partitions."""
        held = list(partitions)
        super().hold(held)
        for tp in held:
            self._next.pop(tp, None)

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch from these offsets on."""
        self._next |= positions
        super().read_from(positions)
        self._pause_what_ended()

    def extend(self, until: Until) -> None:
        """Read on, to these offsets; partitions that are not among the first ones are passed over."""
        moved = {tp: end for tp, end in until.items() if tp in self._until and end > self._until[tp]}
        self._until |= moved
        for tp in moved:
            if tp in self._next:
                self._consumer.resume(KafkaPartition(*tp))

    @property
    def is_exhausted(self) -> bool:
        """Every record before the ends was handed out."""
        return all(self._next.get(tp, -1) >= end for tp, end in self._until.items())

    async def fetch(self, wait_ms: int, records_max: int) -> dict[TopicPartition, list[Record]]:
        """As the worker's log does, less what lies at or behind the ends."""
        found = await super().fetch(wait_ms, records_max)
        kept: dict[TopicPartition, list[Record]] = {}
        for tp, records in found.items():
            if tp not in self._next:
                continue  # held meanwhile
            inside = [record for record in records if record.offset < self._until[tp]]
            if len(inside) < len(records):  # to be read from here when the end is moved
                self._consumer.seek(KafkaPartition(*tp), self._until[tp])
            self._next[tp] = max(self._next[tp], min(records[-1].offset + 1, self._until[tp]))
            if inside:
                kept[tp] = inside
        self._pause_what_ended()
        return kept

    def _pause_what_ended(self) -> None:
        ended = [KafkaPartition(*tp) for tp, at in self._next.items() if at >= self._until[tp]]
        self._consumer.pause(*ended)

    def high_water(self, partition: TopicPartition) -> int | None:
        """The end given, once the broker has shown any."""
        return None if super().high_water(partition) is None else self._until[partition]

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """There is no group."""


class EndingLog(Log, Protocol):
    """What a fill asks of a log beyond what a worker does."""

    @property
    def is_exhausted(self) -> bool:
        """Every record before the ends was handed out."""
        ...

    def extend(self, until: Until) -> None:
        """Read on, to these offsets."""
        ...


OpenLog = Callable[[Settings, str, Until], EndingLog]
"""Makes a log of settings, bootstrap servers and ends. Must be a module's function: fills run it in other processes."""


def kafka_until(settings: Settings, bootstrap: str, until: Until) -> BoundedLog:
    """The live log, to these ends."""
    return BoundedLog(bootstrap, until, settings.kafka)
