"""Read whole topics, from the beginning to an end that is fixed at the start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tailrace.errors import PreconditionError, UnreachableError
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal
from tailrace.settings import Settings

TOPICS: Final = ("activity", "conversations", "directory", "files", "signals")
"""What the read models are made of; `inbound` comes through the gateway into these."""

FETCH_BYTES_MAX: Final = 8 * 2**20
"""Of one partition in one fetch. A broker may hold records of 2 MiB, larger than we accept: those must be read, too."""

POLL_RECORDS_MAX: Final = 2_000
POLL_TIMEOUT_MS: Final = 500
SILENT_POLLS_MAX: Final = 120
"""After so many polls without a record while some are missing, the broker counts as unreachable (60 s)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Progress = Callable[[int, int], None]
"""Told (records read, records to read)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that decoding refused; `topic` without prefix."""

    topic: str
    partition: int
    offset: int
    code: str


@dataclass(slots=True)
class Reading:
    """What was read: events and refusals, each in the order (topic, partition, offset).

    `first_offsets` are those at which the partitions began, `end_offsets` those before which reading stopped, both by
    (topic without prefix, partition). A partition that begins above 0 has lost its older records.
    """

    events: list[Event] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    first_offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    end_offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    records: int = 0

    def is_whole(self, topic: str) -> bool:
        """Whether no record of the topic has been removed at its beginning."""
        return all(offset == 0 for (name, _), offset in self.first_offsets.items() if name == topic)


async def read_log(
    settings: Settings,
    bootstrap_servers: str,
    topics: Sequence[str] = TOPICS,
    *,
    progress: Progress = lambda _done, _total: None,
) -> Reading:
    """Read and decode the topics (names without prefix) up to their ends as they are now.

    Raises `PreconditionError` for a topic that does not exist and `UnreachableError` when the broker does not answer.
    Nothing is committed and no group is joined. Records appended meanwhile are not read.
    """
    try:
        names = {settings.topic(topic): topic for topic in topics}
        partitions = await _partitions(settings, bootstrap_servers, names)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            request_timeout_ms=settings.kafka.request_timeout_ms,
        )
        await consumer.start()
        try:
            return await _read(consumer, partitions, names, progress)
        finally:
            await consumer.stop()
    except KafkaError as error:
        raise UnreachableError(f"kafka at {bootstrap_servers}: {error!r}", fix="tailrace doctor") from error


async def _partitions(settings: Settings, bootstrap_servers: str, names: dict[str, str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap_servers, request_timeout_ms=settings.kafka.request_timeout_ms
    )
    await admin.start()
    try:
        # All topics, not ours by name: a broker may create a topic that it is asked for.
        described = await admin.describe_topics()
    finally:
        await admin.close()
    known = {
        topic["topic"]: [partition["partition"] for partition in topic["partitions"]]
        for topic in described
        if topic["topic"] in names
    }
    if missing := sorted(names.keys() - known.keys()):
        raise PreconditionError(f"no such topic: {', '.join(missing)}", fix="tailrace topics apply")
    return [TopicPartition(topic, partition) for topic in sorted(known) for partition in sorted(known[topic])]


async def _read(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], names: dict[str, str], progress: Progress
) -> Reading:
    consumer.assign(partitions)
    first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, first[partition])
    total = sum(ends[partition] - first[partition] for partition in partitions)
    decoded: dict[TopicPartition, Reading] = {partition: Reading() for partition in partitions}
    left = [partition for partition in partitions if first[partition] < ends[partition]]
    consumer.pause(*(set(partitions) - set(left)))
    done = silent_polls = 0
    while left:
        records = await consumer.getmany(*left, timeout_ms=POLL_TIMEOUT_MS, max_records=POLL_RECORDS_MAX)
        for partition, batch in records.items():
            for record in batch:
                if record.offset < ends[partition]:
                    _decode(record, names[partition.topic], decoded[partition])
            done += len(batch)
        # Positions, not the offsets of records: a partition may end with a transaction's marker, which nobody sees.
        finished = [partition for partition in left if await consumer.position(partition) >= ends[partition]]
        consumer.pause(*finished)
        left = [partition for partition in left if partition not in finished]
        silent_polls = 0 if records or finished else silent_polls + 1
        if silent_polls > SILENT_POLLS_MAX:
            raise UnreachableError(f"kafka sends nothing of {left[0]}", fix="tailrace doctor")
        progress(min(done, total), total)
    whole = _joined(decoded)
    whole.first_offsets = {(names[p.topic], p.partition): first[p] for p in partitions}
    whole.end_offsets = {(names[p.topic], p.partition): ends[p] for p in partitions}
    return whole


def _decode(record: ConsumerRecord, topic: str, into: Reading) -> None:
    appended_at = _EPOCH + timedelta(milliseconds=record.timestamp)
    into.records += 1
    outcome = decode(topic, record.key, record.value, appended_at)
    if isinstance(outcome, Refusal):
        into.refused.append(Refused(topic, record.partition, record.offset, str(outcome.code)))
    elif isinstance(outcome, Event):
        outcome.topic, outcome.partition, outcome.offset = topic, record.partition, record.offset
        outcome.appended_at = appended_at
        into.events.append(outcome)


def _joined(decoded: dict[TopicPartition, Reading]) -> Reading:
    whole = Reading()
    for _, part in sorted(decoded.items()):
        whole.events += part.events
        whole.refused += part.refused
        whole.records += part.records
    return whole
