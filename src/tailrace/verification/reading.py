"""Read whole topics, from the beginning to an end that is fixed at the start; what Kafka lost, from the archive."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tailrace.errors import PreconditionError, UnreachableError
from tailrace.schemas.decode import append_times, decode_all
from tailrace.schemas.event import Event, Refusal
from tailrace.settings import Settings
from tailrace.unpacking import bare, bound_unpacking

TOPICS: Final = ("activity", "conversations", "directory", "files", "signals")
"""What the read models are made of; `inbound` comes through the gateway into these."""

FETCH_BYTES_MAX: Final = 8 * 2**20
"""Of one partition in one fetch. A broker may hold records of 2 MiB, larger than we accept: those must be read, too."""

POLL_RECORDS_MAX: Final = 2_000
POLL_TIMEOUT_MS: Final = 500
DECODED_AT_ONCE: Final = 250
SILENT_POLLS_MAX: Final = 120
"""After so many polls without a record while some are missing, the broker counts as unreachable (60 s)."""

Progress = Callable[[int, int], None]
"""Told (records read, records to read)."""

Offsets = dict[tuple[str, int], int]
"""By (topic without prefix, partition)."""

Takes = Callable[[str, bytes | None], bool]
"""Whether a record with this topic (without prefix) and key is read at all."""


class RawRecord(Protocol):
    """A record as it was appended; `timestamp` in milliseconds since 1970 is the broker's append time."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Archive(Protocol):
    """Older records, which Kafka may have removed. Topics without prefix."""

    def first_offset(self, topic: str, partition: int) -> int | None:
        """Where the archive begins; None where it has nothing of the partition."""
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterable[RawRecord]:
        """Records of [start, end) in order. Raises `PreconditionError` where one may be missing."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from, and which: everything of Kafka by default."""

    archive: Archive | None = None
    takes: Takes | None = None


EVERYTHING: Final = Source()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where reading begins: `since` these offsets, as far back as the archive or the live log reach."""

    since: Mapping[tuple[str, int], int] = field(default_factory=dict)
    archive: Archive | None = None

    def first(self, place: tuple[str, int], live: int) -> int:
        """First offset that is read of a partition, of which Kafka still has those from `live` on."""
        since = self.since.get(place)
        if since is not None and since >= live:
            return since
        archived = self.archive.first_offset(*place) if self.archive else None
        return max(live if archived is None else min(live, archived), since or 0)


BEGINNING: Final = Origin()

Take = Callable[[str, int, Iterable[RawRecord]], None]
"""Given a topic's name without prefix, a partition of it, and records of that in their order."""


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

    # Never in its repr: `asyncio.run` makes one of whatever its coroutine returned (by way of `signal.signal`, which
    # looks its handler up in an enum), and that of a million events takes longer than reading them.
    events: list[Event] = field(default_factory=list, repr=False)
    refused: list[Refused] = field(default_factory=list, repr=False)
    first_offsets: Offsets = field(default_factory=dict)
    end_offsets: Offsets = field(default_factory=dict)
    records: int = 0

    def is_whole(self, topic: str) -> bool:
        """Whether no record of the topic has been removed at its beginning."""
        return all(offset == 0 for (name, _), offset in self.first_offsets.items() if name == topic)

    def extend(self, later: "Reading") -> None:
        """Add what was read after this; the order within each partition stays that of the log.

        What `until` gave before stays as it is.
        """
        self.events = [*self.events, *later.events]
        self.refused = [*self.refused, *later.refused]
        self.records += later.records
        self.first_offsets = later.first_offsets | self.first_offsets
        self.end_offsets |= later.end_offsets

    def until(self, positions: Mapping[tuple[str, int], int]) -> "Reading":
        """What of it lies before these offsets; partitions that are not named are left out."""
        if all(positions.get(place, 0) >= end for place, end in self.end_offsets.items()):
            return replace(self)
        before = Reading(
            [e for e in self.events if e.offset < positions.get((e.topic, e.partition), 0)],
            [r for r in self.refused if r.offset < positions.get((r.topic, r.partition), 0)],
            self.first_offsets,
            {at: min(end, positions.get(at, 0)) for at, end in self.end_offsets.items()},
        )
        before.records = len(before.events) + len(before.refused)
        return before


async def read_log(
    settings: Settings,
    bootstrap_servers: str,
    topics: Sequence[str] = TOPICS,
    *,
    since: Mapping[tuple[str, int], int] | None = None,
    source: Source = EVERYTHING,
    progress: Progress = lambda _done, _total: None,
) -> Reading:
    """Read and decode the topics (names without prefix) up to their ends as they are now.

    Raises what `read_records` raises.
    """
    decoded: defaultdict[tuple[str, int], Reading] = defaultdict(Reading)

    def take(topic: str, partition: int, records: Iterable[RawRecord]) -> None:
        if source.takes is not None:
            records = [record for record in records if source.takes(topic, record.key)]
        _decode(records, topic, partition, decoded[topic, partition])

    bounds = await read_records(
        settings, bootstrap_servers, topics, take, origin=Origin(since or {}, source.archive), progress=progress
    )
    whole = _joined(decoded)
    whole.first_offsets = {place: first for place, (first, _) in bounds.items()}
    whole.end_offsets = {place: end for place, (_, end) in bounds.items()}
    return whole


async def read_records(
    settings: Settings,
    bootstrap_servers: str,
    topics: Sequence[str],
    take: Take,
    *,
    origin: Origin = BEGINNING,
    progress: Progress = lambda _done, _total: None,
) -> dict[tuple[str, int], tuple[int, int]]:
    """Give all records of the topics (names without prefix) to `take`, each partition in order.

    Returns the offsets at which each partition began and ended, by (topic without prefix, partition). Raises
    `PreconditionError` for a topic that does not exist and `UnreachableError` when the broker does not answer. Nothing
    is committed and no group is joined. Records appended meanwhile are not read.
    """
    try:
        names = {settings.topic(topic): topic for topic in topics}
        partitions = await _partitions(settings, bootstrap_servers, names)
        bound_unpacking()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            key_deserializer=bare,
            request_timeout_ms=settings.kafka.request_timeout_ms,
        )
        await consumer.start()
        try:
            return await _Reader(consumer, partitions, names, take, progress).read(origin)
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


class _Reader:
    """One reading: from the archive what lies before the live log, then the live log."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partitions: list[TopicPartition],
        names: dict[str, str],
        take: Take,
        progress: Progress,
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._places = {p: (names[p.topic], p.partition) for p in partitions}
        self._take = take
        self._progress = progress
        self._done = self._total = 0

    async def read(self, origin: Origin) -> dict[tuple[str, int], tuple[int, int]]:
        """Everything from there to the ends."""
        self._consumer.assign(self._partitions)
        live = await self._consumer.beginning_offsets(self._partitions)
        ends = await self._consumer.end_offsets(self._partitions)
        places = self._places
        first = {p: origin.first(places[p], live[p]) for p in self._partitions}
        self._total = sum(max(0, ends[partition] - first[partition]) for partition in self._partitions)
        for partition, place in places.items():
            if origin.archive is not None and first[partition] < live[partition]:
                self._read_archive(origin.archive, place, first[partition], live[partition])
        await self._read_live({p: max(first[p], live[p]) for p in self._partitions}, ends)
        return {place: (first[p], ends[p]) for p, place in places.items()}

    def _read_archive(self, archive: Archive, place: tuple[str, int], first: int, live: int) -> None:
        records = iter(archive.read(*place, first, live))
        while some := list(islice(records, POLL_RECORDS_MAX)):
            self._take(*place, some)
            self._done += len(some)
            self._progress(min(self._done, self._total), self._total)

    async def _read_live(self, starts: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> None:
        left = [partition for partition in self._partitions if starts[partition] < ends[partition]]
        for partition in self._partitions:
            self._consumer.seek(partition, starts[partition])
        self._consumer.pause(*(set(self._partitions) - set(left)))
        silent_polls = 0
        while left:
            records = await self._consumer.getmany(*left, timeout_ms=POLL_TIMEOUT_MS, max_records=POLL_RECORDS_MAX)
            for partition, batch in records.items():
                end = ends[partition]
                inside = (
                    batch if batch and batch[-1].offset < end else [record for record in batch if record.offset < end]
                )
                self._take(*self._places[partition], inside)
                self._done += len(batch)
            # Positions, not the offsets of records: a partition may end with a transaction's marker, which nobody sees.
            finished = [partition for partition in left if await self._consumer.position(partition) >= ends[partition]]
            self._consumer.pause(*finished)
            left = [partition for partition in left if partition not in finished]
            silent_polls = 0 if records or finished else silent_polls + 1
            if silent_polls > SILENT_POLLS_MAX:
                raise UnreachableError(f"kafka sends nothing of {left[0]}", fix="tailrace doctor")
            self._progress(min(self._done, self._total), self._total)


def _decode(records: Iterable[RawRecord], topic: str, partition: int, into: Reading) -> None:
    given, events = iter(records), into.events
    while some := list(islice(given, DECODED_AT_ONCE)):
        into.records += len(some)
        times = append_times([record.timestamp for record in some])
        for record, outcome in zip(some, decode_all(topic, some, times), strict=True):
            if isinstance(outcome, Event):
                outcome.partition, outcome.offset = partition, record.offset
                events.append(outcome)
            elif isinstance(outcome, Refusal):
                into.refused.append(Refused(topic, partition, record.offset, str(outcome.code)))


def _joined(decoded: Mapping[tuple[str, int], Reading]) -> Reading:
    whole = Reading()
    for _, part in sorted(decoded.items()):
        whole.events += part.events
        whole.refused += part.refused
        whole.records += part.records
    return whole
