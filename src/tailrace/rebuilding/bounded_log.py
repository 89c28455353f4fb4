"""The log up to given offsets, read without a group: what a worker reads that must end where another one stands."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.kafka_log import FETCH_MAX_BYTES, PARTITION_FETCH_BYTES, KafkaLog
from tailrace.consumers.log import Log, OnAssigned, OnRevoked
from tailrace.settings import KafkaSettings, Settings

Until = Mapping[TopicPartition, int]
"""By partition (full topic name) the offset before which it ends: the `next_offset` to be reached."""


AHEAD_RECORDS_MAX: Final = 5_000
"""Records of one partition that are kept until the end moves behind them."""
AHEAD_WAIT_MS: Final = 20
"""So often a log that reads ahead looks whether its end was moved."""


class BoundedLog(KafkaLog):
    """All partitions of `until`, each from where it is told to be read to the offset given there.

    With `reads_ahead` it goes on fetching behind the ends and keeps what it gets, so that records are at hand at once
    when the ends are moved on by `extend`.
    """

    def __init__(self, bootstrap: str, until: Until, settings: KafkaSettings, *, reads_ahead: bool = False) -> None:
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
        self._ahead: dict[TopicPartition, list[Record]] = {}
        self._reads_ahead = reads_ahead

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
            self._ahead.pop(tp, None)

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch from these offsets on."""
        self._next |= positions
        for tp in positions:
            self._ahead.pop(tp, None)
        super().read_from(positions)
        self._pause_what_ended()

    def extend(self, until: Until) -> None:
        """Read on, to these offsets; partitions that are not among the first ones are passed over."""
        self._until |= {tp: end for tp, end in until.items() if tp in self._until and end > self._until[tp]}

    @property
    def is_exhausted(self) -> bool:
        """Every record before the ends was handed out."""
        return all(self._next.get(tp, -1) >= end for tp, end in self._until.items())

    async def fetch(self, wait_ms: int, records_max: int) -> dict[TopicPartition, list[Record]]:
        """As the worker's log does, less what lies at or behind the ends."""
        waited = 0
        while not (kept := self._take(records_max)) and waited < wait_ms:
            part = min(wait_ms - waited, AHEAD_WAIT_MS if self._reads_ahead else wait_ms)
            for tp, records in (await super().fetch(part, records_max)).items():
                if tp in self._next:  # else held meanwhile
                    self._ahead.setdefault(tp, []).extend(records)
            waited += part
        self._pause_what_ended()
        return kept

    def _take(self, records_max: int) -> dict[TopicPartition, list[Record]]:
        kept: dict[TopicPartition, list[Record]] = {}
        for tp, records in self._ahead.items():
            inside = sum(record.offset < self._until[tp] for record in records[:records_max])
            if inside:
                kept[tp], self._ahead[tp] = records[:inside], records[inside:]
                self._next[tp] = kept[tp][-1].offset + 1
            if self._ahead[tp]:
                # Offsets without a record (a transaction's mark) belong to what comes before them.
                self._next[tp] = max(self._next[tp], min(self._ahead[tp][0].offset, self._until[tp]))
        return kept

    def _pause_what_ended(self) -> None:
        for tp, at in self._next.items():
            has_enough = len(self._ahead.get(tp, ())) >= AHEAD_RECORDS_MAX
            if has_enough or (not self._reads_ahead and at >= self._until[tp]):
                self._consumer.pause(KafkaPartition(*tp))
            else:
                self._consumer.resume(KafkaPartition(*tp))

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


def kafka_ahead(settings: Settings, bootstrap: str, until: Until) -> BoundedLog:
    """The same, reading ahead of the ends, for one that follows the live tables."""
    return BoundedLog(bootstrap, until, settings.kafka, reads_ahead=True)
