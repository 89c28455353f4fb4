"""Dead letters of the streams from their topic into the table, where the other letters are.

Streams write topics only, so what they refuse is in `collab.dead-letters` and nowhere else. Whoever asks for dead
letters first gathers what came since; how far that is, is committed in a group of its own. Twice is as good as once.
"""

import asyncio
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.operations.dead_letters import letters
from tailrace.operations.topics import DEAD_LETTER_BYTES_MAX, DEAD_LETTERS, topic_partitions
from tailrace.projections.registry import PROJECTIONS
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.unpacking import bound_unpacking

log = structlog.get_logger(__name__)

GROUP: Final = "gathered-letters.v1"
FETCH_MS: Final = 500
FETCH_RECORDS_MAX: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[Any, ...]


async def gather(settings: Settings) -> int:
    """Put into the table what the streams have refused since the last time; how many letters that were.

    Raises `UnreachableError` and, where the topic or the tables are missing, `PreconditionError`.
    """
    bootstrap = resolve(settings).kafka
    partitions = await topic_partitions(settings, bootstrap, {DEAD_LETTERS})
    bound_unpacking()
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=settings.group(GROUP),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        request_timeout_ms=settings.kafka.request_timeout_ms,
        max_partition_fetch_bytes=DEAD_LETTER_BYTES_MAX,
    )
    try:
        try:
            await reader.start()
            gathered = await _gather(settings, reader, partitions)
        finally:
            await reader.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnreachableError(f"no Kafka broker answers at {bootstrap}", fix="tailrace up") from error
    if gathered:
        log.info("dead_letters_gathered", letters=gathered)
    return gathered


async def _gather(settings: Settings, reader: AIOKafkaConsumer, partitions: list[TopicPartition]) -> int:
    reader.assign(partitions)
    ends = await reader.end_offsets(partitions)
    gathered = 0
    while any([await reader.position(tp) < ends[tp] for tp in partitions]):
        found = await reader.getmany(timeout_ms=FETCH_MS, max_records=FETCH_RECORDS_MAX)
        rows = [row for records in found.values() for record in records if (row := _readable(settings, record))]
        if rows:
            gathered += await asyncio.to_thread(_keep, settings, rows)
        if found:
            await reader.commit()
    return gathered


def _keep(settings: Settings, rows: list[Row]) -> int:
    with letters(settings) as asked, asked.conn.transaction():
        return len(asked.run("gather_letters", *(list(column) for column in zip(*rows, strict=True))))


def _readable(settings: Settings, record: Any) -> Row | None:
    try:
        return _row(settings, record)
    except (ValueError, OverflowError):  # anybody can write into a topic
        log.warning("dead_letter_unreadable", partition=record.partition, offset=record.offset)
        return None


def _row(settings: Settings, record: Any) -> Row | None:
    """What the table keeps of a letter; None for one that is there already, because a worker wrote it."""
    said = dict(record.headers)
    projection = _text(said, "tr-projection")
    if not projection or projection in PROJECTIONS or "kafka_dlt-original-topic" not in said:
        return None
    topic = _text(said, "kafka_dlt-original-topic")
    partition, offset, appended_ms = (
        int.from_bytes(said.get(f"kafka_dlt-original-{name}", b"")) for name in ("partition", "offset", "timestamp")
    )
    begins = max(number for number, (name, _) in enumerate(record.headers) if name == "tr-code")
    own = record.headers[:begins]
    appended = _EPOCH + timedelta(milliseconds=appended_ms)
    type_, event_id, workspace_id = _about(settings, topic, record, appended)
    return (
        projection, topic, partition, offset, record.key, _text(said, "tr-code"), _text(said, "tr-reason"),
        record.value,
        json.dumps([[name, b64encode(value).decode()] for name, value in own]), type_, event_id, workspace_id,
        int(_text(said, "tr-attempt") or 1), datetime.fromisoformat(_text(said, "tr-first-failed-at")), appended,
    )  # fmt: skip


def _text(said: dict[str, bytes], name: str) -> str:
    return said.get(name, b"").decode("utf-8", "replace").replace("\0", "\ufffd")


def _about(
    settings: Settings, topic: str, record: Any, appended: datetime
) -> tuple[str | None, str | None, str | None]:
    """Type, event id and workspace, as far as the record says."""
    short = topic.removeprefix(settings.kafka.topic_prefix)
    decoded = decode(short, record.key, record.value, appended)
    if isinstance(decoded, Event):
        return decoded.type, decoded.id, decoded.data.get("workspace_id")
    return (decoded.event_type, decoded.event_id, decoded.workspace_id) if decoded is not None else (None, None, None)
