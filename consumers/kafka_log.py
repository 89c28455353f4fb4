"""The log as a worker reads it: aiokafka wrapped once, with the settings its defaults get wrong.

No deserializers (one that raises loses the good records before it), `auto_offset_reset="none"`, no auto-commit,
`read_committed`. A rebalance listener never raises: aiokafka logs and swallows it, and reading would go on from
Kafka's own offset.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.partitioner import murmur2
from aiokafka.structs import OffsetAndMetadata

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.errors import BrokenLogError, ConsumerError, LogUnreachableError, OutOfRangeError
from tailrace.consumers.log import Offsets, OnAssigned, OnRevoked
from tailrace.settings import KafkaSettings
from tailrace.unpacking import BrokenBatchError, bare, bound_unpacking

log = structlog.get_logger()

FETCH_MAX_BYTES = 32 * 2**20
PARTITION_FETCH_BYTES = 4 * 2**20
"""Above the topics' limit of 2 MiB a record: aiokafka skips a record that is larger than a fetch after one error."""


@lru_cache(maxsize=65_536)
def is_astray(key: bytes | None, partition: int, partitions: int) -> bool:
    """Whether the key belongs to another of so many partitions, by the Java client's partitioner; 0: unknown."""
    return key is not None and partitions > 0 and (int(murmur2(key)) & 0x7FFFFFFF) % partitions != partition


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, owner: "KafkaLog", on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        self._owner = owner
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        try:
            await self._on_revoked({TopicPartition(tp.topic, tp.partition) for tp in revoked})
        except Exception:
            log.exception("revoke_failed")

    async def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        partitions = {TopicPartition(tp.topic, tp.partition) for tp in assigned}
        # Paused, and at a position of no meaning, until the store has told us where it stands.
        self._owner.hold(partitions)
        self._on_assigned(partitions)


def client(bootstrap: str, group: str | None, settings: KafkaSettings, **more: object) -> AIOKafkaConsumer:
    """A client with the settings that a log needs; in no group where `group` is None. `more` are further ones."""
    bound_unpacking()
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        request_timeout_ms=settings.request_timeout_ms,
        fetch_max_bytes=FETCH_MAX_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        check_crcs=True,
        key_deserializer=bare,
        **more,
    )


def of_group(bootstrap: str, group: str, settings: KafkaSettings) -> "KafkaLog":
    """A log that is read by the members of a consumer group."""
    return KafkaLog(
        client(
            bootstrap,
            group,
            settings,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=max(300_000, settings.rebalance_timeout_ms),
            metadata_max_age_ms=30_000,
        )
    )


class KafkaLog:
    """Reads where it is told to, and nothing before it was told."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._next: dict[KafkaPartition, int] = {}
        """What comes after the records that were given out last."""

    async def start(self, topics: Iterable[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group. Topics must exist: a missing one would be ignored without a word."""
        await self._consumer.start()
        self._consumer.subscribe(topics=list(topics), listener=_Listener(self, on_assigned, on_revoked))

    async def stop(self) -> None:
        """Leave the group."""
        try:
            await self._consumer.stop()
        except KafkaError as error:  # a task of its own had died, and says so only now
            log.warning("consumer_discarded", error=type(error).__name__)

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching these partitions."""
        for tp in self._assigned(partitions):
            self._consumer.pause(tp)
            self._consumer.seek(tp, 0)
            self._next.pop(tp, None)

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch from these offsets on; partitions that are no longer assigned are passed over."""
        for tp in self._assigned(positions):
            self._next[tp] = positions[TopicPartition(tp.topic, tp.partition)]
            self._consumer.seek(tp, self._next[tp])
            self._consumer.resume(tp)

    def _read_again(self) -> None:
        """Go back to what was given out last: a batch that cannot be read takes with it what others had given."""
        for tp in self._next.keys() & self._consumer.assignment():
            self._consumer.seek(tp, self._next[tp])

    def _assigned(self, partitions: Iterable[TopicPartition]) -> list[KafkaPartition]:
        assigned = self._consumer.assignment()
        return [tp for tp in (KafkaPartition(*partition) for partition in partitions) if tp in assigned]

    async def bounds(self, partitions: Iterable[TopicPartition]) -> tuple[Offsets, Offsets]:
        """First offset and end offset of each partition. The ends are read last, so they are never too small.

        Raises `LogUnreachableError`.
        """
        wanted = [KafkaPartition(*tp) for tp in partitions]
        try:
            beginnings = await self._consumer.beginning_offsets(wanted)
            ends = await self._consumer.end_offsets(wanted)
        except (KafkaError, OSError, TimeoutError) as error:
            raise LogUnreachableError(type(error).__name__) from error
        return (
            {TopicPartition(tp.topic, tp.partition): offset for tp, offset in beginnings.items()},
            {TopicPartition(tp.topic, tp.partition): offset for tp, offset in ends.items()},
        )

    async def fetch(
        self, wait_ms: int, records_max: int, of: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Records of several partitions, each in order; empty after `wait_ms` without any. With `of` only of these.

        Raises `OutOfRangeError`, `BrokenLogError` and `LogUnreachableError`; no record is lost by any of them. Raises
        `ConsumerError` where the client will never fetch again: the process must end.
        """
        if self._has_died():
            raise ConsumerError("the Kafka client has stopped reading", fix="restart the worker")
        wanted = self._assigned(of) if of is not None else []
        if of is not None and not wanted:
            return {}  # taken from us; to ask for no partition would be to ask for all
        try:
            found = await self._consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=records_max)
        except OffsetOutOfRangeError as error:
            raise OutOfRangeError(frozenset(TopicPartition(tp.topic, tp.partition) for tp in error.args[0])) from error
        except NoOffsetForPartitionError:
            return {}  # assigned this moment and not held yet; the claim will say where to read
        except (KafkaError, OSError) as error:
            self._read_again()
            if isinstance(error, BrokenBatchError):
                raise BrokenLogError(TopicPartition(*error.partition)) from error
            raise LogUnreachableError(type(error).__name__) from error
        self._next |= {tp: records[-1].offset + 1 for tp, records in found.items() if records}
        return {
            TopicPartition(tp.topic, tp.partition): self._records(tp, records)
            for tp, records in found.items()
            if records
        }

    def _records(self, tp: KafkaPartition, found: Sequence[Any]) -> list[Record]:
        partitions = len(self._consumer.partitions_for_topic(tp.topic) or ())
        topic, number = tp
        return [
            Record(
                topic, number, r.offset, r.timestamp, r.key, r.value, tuple(r.headers),
                is_astray(r.key, number, partitions),
            )
            for r in found
        ]  # fmt: skip

    def _has_died(self) -> bool:
        """Whether one of the client's own tasks has ended.

        What aiokafka does not expect ends its fetch task (`event_loop` mends the one cause that was seen); it is
        logged, `getmany` waits for ever, and the end of the log is the one it saw last.
        """
        fetcher, coordinator = (getattr(self._consumer, name, None) for name in ("_fetcher", "_coordinator"))
        tasks = getattr(fetcher, "_fetch_task", None), getattr(coordinator, "_coordination_task", None)
        return any(task is not None and task.done() for task in tasks)

    def high_water(self, partition: TopicPartition) -> int | None:
        """End of the partition as the last fetch saw it: what may be read, and is not given out yet, lies before it.

        Records of a transaction that is open may not be read. The marker that ends one takes an offset and is never
        given out: a log that ends with it would seem to be unread for ever.
        """
        tp = KafkaPartition(*partition)
        mark: int | None = self._consumer.highwater(tp) if tp in self._consumer.assignment() else None
        if mark is None:
            return None
        stable: int | None = self._consumer.last_stable_offset(tp)
        if stable is not None and 0 <= stable < mark:
            mark = stable
        place = self._consumer._subscription.subscription.assignment.state_value(tp)  # noqa: SLF001 - `position()` waits
        if place.has_valid_position and place.position >= mark:
            mark = min(mark, self._next.get(tp, mark))
        return mark

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Tell Kafka how far we are. Advisory only: lag tools read it; on restart the store's own progress decides."""
        assigned = self._consumer.assignment()
        offsets = {
            KafkaPartition(*tp): OffsetAndMetadata(offset, "")
            for tp, offset in positions.items()
            if KafkaPartition(*tp) in assigned
        }
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except KafkaError as error:
            log.info("advisory_commit_failed", error=type(error).__name__)
