"""The log up to given offsets, read without a group: what a worker reads that must end where another one stands."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from aiokafka import TopicPartition as KafkaPartition

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.kafka_log import KafkaLog, client
from tailrace.consumers.log import Log, OnAssigned, OnRevoked
from tailrace.settings import KafkaSettings, Settings

Until = Mapping[TopicPartition, int]
"""By partition (full topic name) the offset before which it ends: the `next_offset` to be reached."""


AHEAD_RECORDS_MAX: Final = 5_000
"""Records of one partition that are kept until the end moves behind them."""
AHEAD_WAIT_MS: Final = 20
"""So often a log that reads ahead looks whether its end was moved."""


class Window:
    """What was fetched of some partitions, and which of it may be handed out by now."""

    def __init__(self, until: Until) -> None:
        self._until = dict(until)
        self._next: dict[TopicPartition, int] = {}
        self._ahead: dict[TopicPartition, list[Record]] = {}

    @property
    def partitions(self) -> set[TopicPartition]:
        """All of them."""
        return set(self._until)

    def begin(self, positions: Mapping[TopicPartition, int]) -> None:
        """What is fetched from now on begins at these offsets."""
        self.leave(positions)
        self._next |= positions

    def leave(self, partitions: Iterable[TopicPartition]) -> None:
        """Nothing more of these, until `begin`."""
        for tp in partitions:
            self._next.pop(tp, None)
            self._ahead.pop(tp, None)

    def extend(self, until: Until) -> None:
        """Move the ends on; a partition that was not among the first ones is passed over, and so is an end before."""
        self._until |= {tp: end for tp, end in until.items() if tp in self._until and end > self._until[tp]}

    def add(self, found: Mapping[TopicPartition, list[Record]]) -> None:
        """These were fetched."""
        for tp, records in found.items():
            if tp in self._next:  # else it was left meanwhile
                self._ahead.setdefault(tp, []).extend(records)

    def take(self, records_max: int) -> dict[TopicPartition, list[Record]]:
        """What lies before the ends, at most so many of each partition."""
        taken: dict[TopicPartition, list[Record]] = {}
        for tp, records in self._ahead.items():
            inside = sum(record.offset < self._until[tp] for record in records[:records_max])
            if inside:
                taken[tp], self._ahead[tp] = records[:inside], records[inside:]
                self._next[tp] = taken[tp][-1].offset + 1
            if self._ahead[tp]:
                # Offsets without a record (a transaction's mark) belong to what comes before them.
                self._next[tp] = max(self._next[tp], min(self._ahead[tp][0].offset, self._until[tp]))
        return taken

    def end(self, partition: TopicPartition) -> int:
        """Where it ends."""
        return self._until[partition]

    def is_begun(self, partition: TopicPartition) -> bool:
        """Somebody said from where on it is read."""
        return partition in self._next

    def has_ended(self, partition: TopicPartition) -> bool:
        """Everything before its end was handed out."""
        return self._next.get(partition, -1) >= self._until[partition]

    def has_enough(self, partition: TopicPartition) -> bool:
        """So much of it waits that no more should be fetched."""
        return len(self._ahead.get(partition, ())) >= AHEAD_RECORDS_MAX

    @property
    def is_exhausted(self) -> bool:
        """All have ended."""
        return all(map(self.has_ended, self._until))


class BoundedLog(KafkaLog):
    """All partitions of `until`, each from where it is told to be read to the offset given there.

    With `reads_ahead` it goes on fetching behind the ends and keeps what it gets, so that records are at hand at once
    when the ends are moved on by `extend`.
    """

    def __init__(self, bootstrap: str, until: Until, settings: KafkaSettings, *, reads_ahead: bool = False) -> None:
        super().__init__(client(bootstrap, None, settings))
        self._window = Window(until)
        self._reads_ahead = reads_ahead

    async def start(self, topics: Iterable[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Take the partitions, held until somebody says where to read."""
        del topics, on_revoked
        await self._consumer.start()
        self._consumer.assign([KafkaPartition(*tp) for tp in self._window.partitions])
        self.hold(self._window.partitions)
        on_assigned(self._window.partitions)

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching these partitions."""
        held = list(partitions)
        super().hold(held)
        self._window.leave(held)

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch from these offsets on."""
        self._window.begin(positions)
        super().read_from(positions)
        self._pause_what_ended(positions)

    def extend(self, until: Until) -> None:
        """Read on, to these offsets; partitions that are not among the first ones are passed over."""
        self._window.extend(until)

    @property
    def is_exhausted(self) -> bool:
        """Every record before the ends was handed out."""
        return self._window.is_exhausted

    async def fetch(
        self,
        wait_ms: int,
        records_max: int,
        of: Collection[TopicPartition] | None = None,  # noqa: ARG002 - reads all in turns
    ) -> dict[TopicPartition, list[Record]]:
        """As the worker's log does, less what lies at or behind the ends; all partitions in turns."""
        waited = 0
        while not (taken := self._window.take(records_max)) and waited < wait_ms:
            part = min(wait_ms - waited, AHEAD_WAIT_MS if self._reads_ahead else wait_ms)
            self._window.add(await super().fetch(part, records_max))
            waited += part
        self._pause_what_ended(self._window.partitions)
        return taken

    def _pause_what_ended(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            if self._window.has_enough(tp) or (not self._reads_ahead and self._window.has_ended(tp)):
                self._consumer.pause(KafkaPartition(*tp))
            elif self._window.is_begun(tp):
                self._consumer.resume(KafkaPartition(*tp))

    def high_water(self, partition: TopicPartition) -> int | None:
        """The end given, once the broker has shown any."""
        return None if super().high_water(partition) is None else self._window.end(partition)

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
