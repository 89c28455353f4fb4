"""The archive beside a real broker: exactly once under two runs and a crash, and whole where Kafka is not any more."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tailrace.addresses import resolve
from tailrace.archiving.archive import open_archive
from tailrace.archiving.checking import check
from tailrace.archiving.running import TOPICS, archive, reader
from tailrace.archiving.segments import Manifest, file_of, manifests, places, read
from tailrace.consumers.batch import TopicPartition
from tailrace.errors import PreconditionError
from tailrace.mending.filling import archived_until
from tailrace.months.keeper import ensure_partitions
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.topics import apply_topics, topic_partitions
from tailrace.rebuilding.comparing import compare
from tailrace.rebuilding.filling import fill
from tailrace.rebuilding.shadow import create, shadow_settings
from tailrace.settings import Settings
from tailrace.verification.verify import verify
from tailrace.workload import generate, named_profile, publish_records

START = datetime(2026, 10, 20, tzinfo=UTC)
EVENTS = 2_000
FROM_KAFKA, FROM_BOTH = 7, 8
Offsets = dict[TopicPartition, int]


async def bounds(settings: Settings) -> tuple[Offsets, Offsets]:
    async with reader(settings) as consumer:
        found = await topic_partitions(settings, resolve(settings).kafka, set(TOPICS))
        beginnings, ends = await consumer.beginning_offsets(found), await consumer.end_offsets(found)
    return {TopicPartition(*tp): at for tp, at in beginnings.items()}, {
        TopicPartition(*tp): at for tp, at in ends.items()
    }


async def delete_before(settings: Settings, offsets: Offsets) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=resolve(settings).kafka)
    await admin.start()
    try:
        from aiokafka import TopicPartition as KafkaPartition

        await admin.delete_records(
            {KafkaPartition(*tp): RecordsToDelete(before_offset=at) for tp, at in offsets.items()}
        )
    finally:
        await admin.close()


def all_manifests(folder: Path) -> list[Manifest]:
    return [manifest for place in places(folder) for manifest in manifests(folder, *place)]


@pytest.fixture
async def filled(settings: Settings, tmp_path: Path) -> Settings:
    """Settings of a filled log, whose archive is still empty."""
    settings.kafka.partitions, settings.kafka.partitions_small = 2, 1
    settings.archive.dir, settings.archive.segment_max_records = tmp_path / "archive", 300
    with connection(settings) as conn:
        migrate(conn, settings)
        ensure_partitions(conn, settings, now=START + timedelta(days=30))
    await apply_topics(settings, resolve(settings).kafka)
    records = list(generate(named_profile("demo", start=START, events=EVENTS)))
    await publish_records(resolve(settings).kafka, records, settings=settings)
    return settings


async def test_archived_by_two_at_once_and_read_back_where_kafka_forgot(filled: Settings):
    folder = filled.archive.dir
    assert folder is not None
    run = partial(archive, filled, folder, lambda: datetime.now(UTC))
    _, ends = await bounds(filled)

    # ── written exactly once ──
    closed = await run()
    assert closed.open_records > 0
    first, second = await asyncio.gather(run(close_all=True), run(close_all=True))
    written = [*closed.segments, *first.segments, *second.segments]
    assert sorted(m.file for m in written) == sorted(m.file for m in all_manifests(folder))
    assert sum(m.records for m in written) == sum(ends.values())
    found = await check(filled, folder)
    assert (found.problems, found.compared) == ([], sum(ends.values()))

    # ── a run that was killed left a file without a manifest, and somebody took one out of the middle ──
    last = max(all_manifests(folder), key=lambda m: m.first_offset)
    middle = next(m for m in all_manifests(folder) if m.place == last.place and m.end_offset == last.first_offset)
    for lost in (middle, last):
        file_of(folder, lost).with_name(f"{lost.first_offset:020}.manifest.json").unlink()
    assert {m.file for m in (await run(close_all=True)).segments} == {middle.file, last.file}
    file_of(folder, middle).with_name(f"{middle.first_offset:020}.manifest.json").unlink()
    assert ["gap" in problem["problem"] for problem in (await check(filled, folder)).problems] == [True]
    assert {m.file for m in (await run(close_all=True)).segments} == {middle.file}

    # ── Kafka forgets; everything is still there ──
    await asyncio.to_thread(_fill, filled, FROM_KAFKA, ends, with_archive=False)
    await delete_before(filled, {tp: end * 2 // 3 for tp, end in ends.items() if end > 2})
    shadow = shadow_settings(filled, FROM_BOTH)
    await asyncio.to_thread(_fill, filled, FROM_BOTH, ends, with_archive=True)
    with connection(filled) as conn, conn.transaction():
        both = compare(conn, shadow_settings(filled, FROM_KAFKA), shadow)
        assert (both.differences, both.rows > EVENTS) == (0, True), both.document()
    verified = await asyncio.to_thread(partial(verify, shadow, ["postgres"], limit=3, archive=open_archive(filled)))
    assert verified.differences == 0, json.dumps(verified.document(), default=str)
    assert sum(verified.positions.values()) == sum(at for tp, at in ends.items() if "notifications" not in tp.topic)
    with pytest.raises(PreconditionError, match="lost its beginning"):
        await asyncio.to_thread(partial(verify, shadow, ["postgres"], limit=3))

    # ── damage is found ──
    victim = max(all_manifests(folder), key=lambda m: m.records)
    kept = list(read(folder, victim))
    file_of(folder, victim).write_bytes(b"not what it was")
    assert ["checksum" in problem["problem"] for problem in (await check(filled, folder)).problems] == [True]
    assert len(kept) == victim.records


def _fill(settings: Settings, version: int, ends: Offsets, *, with_archive: bool) -> None:
    create(settings, version)
    if with_archive:
        fill(settings, version, ends, processes=1, open_log=archived_until)
    else:
        fill(settings, version, ends, processes=1)
