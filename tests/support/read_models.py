"""One database of read models: apply a log to it batch by batch, compare all of it with the fold, read it by name."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import psycopg
from contract_events import CloudEvent, id_of, named, world_of

from tailrace.addresses import resolve
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.batches import add_records, append_time
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.projections.registry import POSTGRES
from tailrace.schemas.catalogue import EVENT_TYPES, key_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal
from tailrace.settings import Settings
from tailrace.verification.compare import Rows, begin, compare_table, plain, prepare
from tailrace.verification.fold import fold
from tailrace.verification.tables import TABLES

APPENDED = datetime(2026, 11, 21, tzinfo=UTC)
"""When the broker appended the first record of a log made here; each later one comes a millisecond later."""
PARTITIONS = 3
SHOWN_MAX = 3
"""Differences of a table that a failing comparison shows."""

Row = dict[str, Any]
Log = list[Record]


def log_of(events: Iterable[CloudEvent], settings: Settings, *, partitions: int = PARTITIONS) -> Log:
    """Records in the order of publication, with offsets by partition as a broker would give them.

    An event with `raw` is written as those bytes (None: a null value) under its own key; one whose type is in no
    catalogue goes where its channel's messages go.
    """
    offsets: dict[tuple[str, int], int] = {}
    log = []
    for number, event in enumerate(events):
        known = EVENT_TYPES.get(event["type"])
        short = known.topic if known else "conversations"
        key = key_of(event["type"], event["data"]) if known else event["data"]["channel_id"]
        partition = crc32(key.encode()) % partitions
        offset = offsets.get((short, partition), 0)
        offsets[short, partition] = offset + 1
        value = event["raw"] if "raw" in event else json.dumps(event).encode()
        at_ms = int((APPENDED + timedelta(milliseconds=number)).timestamp() * 1000)
        log.append(Record(settings.topic(short), partition, offset, at_ms, key.encode(), value))
    return log


def partition_of(record: Record) -> TopicPartition:
    """Where the record lies."""
    return TopicPartition(record.topic, record.partition)


class ReadModels:
    """The tables of one database. `settings` name it; nobody else writes there meanwhile."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dsn = resolve(settings).postgres
        self.topics = {short: settings.topic(short) for short in POSTGRES.topics}
        self._shorts = {full: short for short, full in self.topics.items()}
        # What a migration wrote is no read model.
        with psycopg.connect(self.dsn) as connection:
            self._tables = [name for (name,) in connection.execute(_EMPTY_AT_FIRST)]

    def sink(self) -> PostgresSink:
        """A worker's side of the store; the caller closes it."""
        return PostgresSink(self.dsn, self.settings.postgres, POSTGRES.name, POSTGRES.version, self.topics)

    # ── applying ──

    async def apply(self, batches: Iterable[Sequence[Record]]) -> None:
        """Claim the partitions and apply the batches one after the other, in one transaction each."""
        cut = [batch for batch in batches if batch]
        sink = self.sink()
        try:
            reader = Reader(self, sink)
            await reader.claim({partition_of(record) for batch in cut for record in batch})
            for batch in cut:
                await sink.apply(reader.batch(batch))
        finally:
            await sink.close()

    def decoded(self, record: Record) -> Event | Refusal | None:
        """What the record holds, with its place in the log."""
        short = self._shorts[record.topic]
        decoded = decode(short, record.key, record.value, append_time(record))
        if isinstance(decoded, Event):
            decoded.topic, decoded.partition, decoded.offset = short, record.partition, record.offset
            decoded.appended_at = append_time(record)
        return decoded

    def short(self, topic: str) -> str:
        """A topic's name without its prefix."""
        return self._shorts[topic]

    # ── the whole of it ──

    def clear(self) -> None:
        """Empty every table that was empty at first; partitions stay."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute(";".join(f"DELETE FROM {table}" for table in self._tables))  # noqa: S608 - names are ours

    def rewind(self) -> None:
        """Let the next claim begin at offset 0 again, with everything that was applied still there."""
        self.execute("UPDATE runtime.progress SET next_offset = 0, fingerprint = NULL")

    def contents(self) -> dict[str, str]:
        """A digest of every table, the worker's own included; equal where no row differs in anything."""
        query = " UNION ALL ".join(
            f"SELECT '{table}', md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} AS t"  # noqa: S608 - names are ours
            for table in self._tables
        )
        with psycopg.connect(self.dsn) as connection:
            return dict(connection.execute(query).fetchall())

    def execute(self, statement: str, *arguments: Any) -> list[Row]:
        """Rows of a statement of the test's own; ids come as names."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            prepare(connection)
            connection.execute("SET timezone = 'UTC'")
            cursor = connection.execute(statement, arguments or None)
            columns = [column.name for column in cursor.description or ()]
            return [dict(zip(columns, named(list(row)), strict=True)) for row in cursor] if columns else []

    def differences(self, log: Iterable[Record]) -> dict[str, Any]:
        """What differs, by table, from the independent fold of the log; refused records are no part of it."""
        decoded = [self.decoded(record) for record in log]
        expected = fold(event for event in decoded if isinstance(event, Event))
        found = {}
        with psycopg.connect(self.dsn) as connection:
            prepare(connection)
            with connection.transaction():
                begin(connection, self.settings)
                for spec in TABLES:
                    rows = Rows(connection, self.settings, spec)
                    report = compare_table(spec, expected[spec.name], rows, limit=SHOWN_MAX)
                    if report.count:
                        found[spec.name] = [
                            named({"key": plain(d.key), "expected": plain(d.expected), "found": plain(d.found)})
                            for d in report.differences
                        ]
        return found

    def worlds(self) -> dict[int, "Tables"]:
        """Everything that is stored, apart by world, with names in place of ids."""
        worlds: dict[int, Tables] = {}
        with psycopg.connect(self.dsn) as connection:
            prepare(connection)
            with connection.transaction():
                begin(connection, self.settings)
                for spec in TABLES:
                    for values in Rows(connection, self.settings, spec):
                        row = dict(zip((*spec.key, *spec.columns), values, strict=True))
                        if spec.counters and not any(row[name] for name in spec.counters):
                            continue
                        world = next(w for w in map(world_of, values) if w is not None)
                        tables = worlds.setdefault(world, Tables({}))
                        tables.add(spec.name, tuple(named(list(values[: len(spec.key)]))), named(row))
                for event_id, type_ in connection.execute("SELECT event_id, type FROM runtime.parked_events"):
                    tables = worlds.setdefault(world_of(event_id) or 0, Tables({}))
                    tables.add("parked", (named(event_id),), {"type": type_.removeprefix("collab.")})
        return worlds


class Reader:
    """Makes batches of one owner's claims, each beginning where the one before it ended."""

    def __init__(self, models: ReadModels, sink: PostgresSink, owner: str = "tests") -> None:
        self._models = models
        self._sink = sink
        self._owner = owner
        self._epochs: dict[TopicPartition, int] = {}
        self.positions: dict[TopicPartition, int] = {}

    async def claim(self, partitions: Iterable[TopicPartition]) -> None:
        """Take the partitions over from whoever had them."""
        claims = await self._sink.progress.claim(dict.fromkeys(partitions, 0), self._owner)
        for partition, claim in claims.items():
            self._epochs[partition] = claim.epoch
            self.positions[partition] = claim.next_offset

    def batch(self, records: Sequence[Record]) -> Batch:
        """The records as one batch; those of each partition must follow its position."""
        batch = Batch()
        by_partition: dict[TopicPartition, Log] = {}
        for record in records:
            by_partition.setdefault(partition_of(record), []).append(record)
        for partition, part in by_partition.items():
            add_records(
                batch,
                partition,
                self._models.short(partition.topic),
                part,
                epoch=self._epochs[partition],
                expected=self.positions[partition],
            )
            self.positions[partition] = part[-1].offset + 1
        return batch


class Queues:
    """What is left of each partition, handed out in random pieces of at most `size` records a partition."""

    def __init__(self, log: Iterable[Record], rng: random.Random, size: int) -> None:
        self._rng = rng
        self._left: dict[TopicPartition, Log] = {}
        for record in log:
            self._left.setdefault(partition_of(record), []).append(record)
        self._size = size

    @property
    def partitions(self) -> list[TopicPartition]:
        return sorted(self._left)

    def next(self) -> Log:
        """A piece of each of some partitions; nothing at the end."""
        waiting = [tp for tp, records in self._left.items() if records]
        piece: Log = []
        for tp in self._rng.sample(waiting, self._rng.randint(1, len(waiting)) if waiting else 0):
            count = self._rng.randint(1, self._size)
            piece += self._left[tp][:count]
            del self._left[tp][:count]
        return piece


@dataclass
class Tables:
    """What one world's log led to. Keys and ids are names; bookkeeping that depends on arrival is left out."""

    all: dict[str, dict[tuple[Any, ...], Row]]

    def add(self, table: str, key: tuple[Any, ...], row: Row) -> None:
        row.pop("revised_at", None)
        self.all.setdefault(table, {})[key] = row

    def __getitem__(self, table: str) -> Mapping[tuple[Any, ...], Row]:
        return self.all.get(table, {})

    def row(self, table: str, *key: Any) -> Row:
        return self.all[table][key]

    def message(self, message_id: str = "m1") -> Row:
        (row,) = (row for (found, _), row in self["messages"].items() if found == message_id)
        return row

    def messages(self) -> set[str]:
        return {message_id for message_id, _ in self["messages"]}

    def visible(self) -> set[str]:
        return {row["message_id"] for row in self["messages"].values() if not row["is_deleted"]}

    def channel(self, channel_id: str = "c1") -> Row:
        return self.row("channels", channel_id)

    def member(self, user_id: str = "ana", channel_id: str = "c1") -> Row:
        return self.row("channel_members", channel_id, user_id)

    def file(self, file_id: str = "f1") -> Row:
        return self.row("files", "w1", file_id)

    def reactions(self) -> set[tuple[str, str, str]]:
        return set(self["message_reactions"])

    def parked(self) -> set[str]:
        return {event_id for (event_id,) in self["parked"]}

    def counts(self, table: str, *key: Any) -> tuple[Any, ...]:
        """A rollup's counters in the order of its columns; zeros where there is no row (ruling 64)."""
        spec = next(spec for spec in TABLES if spec.name == f"analytics.{table}")
        row = self[spec.name].get(key, {})
        return tuple(row.get(counter, 0) for counter in spec.counters)


def differing(one: Row, other: Row) -> Row:
    """Columns in which two rows differ, for a test's message."""
    return {
        column: (one.get(column), other.get(column)) for column in one | other if one.get(column) != other.get(column)
    }


def ids(*names: str) -> list[str]:
    """Ids of names in the first world."""
    return [id_of(name) for name in names]


# Deleting from some sixty relations that hold a few rows takes a tenth of the time that truncating them takes.
_EMPTY_AT_FIRST = """
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('collab', 'analytics', 'runtime') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I.%I', n.nspname, c.relname),
                                          false, true, '')))[1]::text = '0'
"""
