"""Whether the archive is whole: checksums, gaps, overlaps, and the same as what Kafka still has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tailrace.addresses import resolve
from tailrace.archiving.running import TOPICS, reader, records_of
from tailrace.archiving.segments import ArchivedRecord, Manifest, digest_of, manifests, places, read, unfinished
from tailrace.errors import PreconditionError
from tailrace.operations.topics import topic_partitions
from tailrace.settings import Settings

PROBLEMS_MAX = 100

Watch = Callable[[int, int], None]
"""Told (segments checked, segments)."""


@dataclass(slots=True)
class Check:
    """What was found. `compared` counts records that Kafka still has and that were compared byte by byte."""

    segments: int = 0
    records: int = 0
    compared: int = 0
    unfinished: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    def add(self, manifest: Manifest, what: str) -> None:
        """Put down what is wrong with a segment."""
        if len(self.problems) < PROBLEMS_MAX:
            place = {"topic": manifest.topic, "partition": manifest.partition}
            self.problems.append({**place, "first_offset": manifest.first_offset, "problem": what})


async def check(settings: Settings, folder: Path, watch: Watch = lambda *_: None) -> Check:
    """Check every segment. Raises `UnreachableError`, and `PreconditionError` for a manifest that cannot be read."""
    found = Check(unfinished=unfinished(folder))
    everything = [(place, manifests(folder, *place)) for place in places(folder)]
    total = sum(len(held) for _, held in everything)
    async with reader(settings) as consumer:
        known = await topic_partitions(settings, resolve(settings).kafka, set(TOPICS), some=True)
        beginnings, ends = await consumer.beginning_offsets(known), await consumer.end_offsets(known)
        for place, held in everything:
            _check_order(found, held)
            tp = TopicPartition(*place)
            for manifest in held:
                records = _check_file(found, folder, manifest)
                first = max(manifest.first_offset, beginnings.get(tp, manifest.end_offset))
                if records and first < min(manifest.end_offset, ends.get(tp, 0)):
                    await _compare(found, consumer, manifest, [r for r in records if r.offset >= first])
                watch(found.segments, total)
    return found


def _check_order(found: Check, held: list[Manifest]) -> None:
    for before, after in pairwise(held):
        if after.first_offset > before.end_offset:
            found.add(after, f"gap: offsets {before.end_offset} to {after.first_offset - 1} are missing")
        elif after.first_offset < before.end_offset:
            found.add(after, f"overlap: the segment before it ends at {before.end_offset}")


def _check_file(found: Check, folder: Path, manifest: Manifest) -> list[ArchivedRecord]:
    found.segments += 1
    try:
        records = list(read(folder, manifest))
    except PreconditionError as error:
        found.add(manifest, str(error))
        return []
    found.records += len(records)
    offsets = [record.offset for record in records]
    is_ordered = offsets == sorted(set(offsets))
    is_inside = bool(offsets) and manifest.first_offset <= offsets[0] and offsets[-1] < manifest.end_offset
    if len(records) != manifest.records or not is_ordered or not is_inside:
        found.add(manifest, "its records are not those that its manifest names")
    return records


async def _compare(found: Check, consumer: AIOKafkaConsumer, manifest: Manifest, records: list[ArchivedRecord]) -> None:
    """Every record of the segment that Kafka still has must be the same there."""
    held = {record.offset: record for record in records}
    async for page in records_of(consumer, TopicPartition(*manifest.place), min(held), manifest.end_offset):
        for record in page:
            found.compared += 1
            archived = held.pop(record.offset, None)
            if archived is None or digest_of(archived) != digest_of(record):
                found.add(manifest, f"Kafka holds another record at offset {record.offset}")
                return
    if held:
        found.add(manifest, f"Kafka has no record at offset {min(held)}")
