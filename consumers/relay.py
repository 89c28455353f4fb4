"""Dead letters from the table to the topic `collab.dead-letters`: an outbox, so the row is there before the record.

Headers are those that Kafka Connect's and Spring's tools read, besides our own, so that their screens light up.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer

from tailrace.consumers.postgres.session import Statements

RELAY_BATCH_MAX = 200
SEND_TIMEOUT_S = 15.0
DEAD_LETTER_BYTES_MAX = 4 * 2**20 - 64 * 2**10
"""Value size that fits the topic's limit of 4 MiB beside its headers."""

Headers = list[tuple[str, bytes]]


def dead_letter_headers(row: Any) -> Headers:
    """Original headers, then ours, Kafka Connect's (`__connect.errors.*`) and Spring's (`kafka_dlt-original-*`)."""
    original = [(name, base64.b64decode(value)) for name, value in orjson.loads(row["headers"])]
    partition, offset = str(row["partition"]).encode(), str(row["offset"]).encode()
    topic = row["topic"].encode()
    return [
        *original,
        ("tr-code", row["code"].encode()),
        ("tr-reason", row["reason"].encode()),
        ("tr-projection", row["projection"].encode()),
        ("tr-attempt", str(row["attempts"]).encode()),
        ("tr-first-failed-at", _rfc3339(row["first_failed_at"])),
        ("__connect.errors.topic", topic),
        ("__connect.errors.partition", partition),
        ("__connect.errors.offset", offset),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", row["code"].encode()),
        ("__connect.errors.exception.message", row["reason"].encode()),
        ("kafka_dlt-original-topic", topic),
        # Spring writes these three as big-endian integers.
        ("kafka_dlt-original-partition", row["partition"].to_bytes(4, "big")),
        ("kafka_dlt-original-offset", row["offset"].to_bytes(8, "big")),
        ("kafka_dlt-original-timestamp", int(row["first_failed_at"].timestamp() * 1000).to_bytes(8, "big")),
        ("kafka_dlt-exception-message", row["reason"].encode()),
    ]


def _rfc3339(time: datetime) -> bytes:
    return time.isoformat().replace("+00:00", "Z").encode()


async def relay_once(
    connection: asyncpg.Connection, statements: Statements, producer: AIOKafkaProducer, projection: str, topic: str
) -> int:
    """Publish up to `RELAY_BATCH_MAX` dead letters that are not in the topic yet; returns how many.

    The rows are locked meanwhile, and a second relay passes over them. Where the process dies between the broker's
    answer and COMMIT, a record stands in the topic twice, with the same original topic, partition and offset.
    """
    async with connection.transaction():
        rows = await connection.fetch(statements["unrelayed"], projection, RELAY_BATCH_MAX)
        if not rows:
            return 0
        sent: Sequence[Any] = [
            await producer.send(topic, value=_fitting(row["raw"]), key=row["key"], headers=dead_letter_headers(row))
            for row in rows
        ]
        for future in sent:
            await future
        await connection.execute(
            statements["mark_relayed"],
            projection,
            [row["topic"] for row in rows],
            [row["partition"] for row in rows],
            [row["offset"] for row in rows],
        )
    return len(rows)


def _fitting(raw: bytes | None) -> bytes | None:
    return raw if raw is None or len(raw) <= DEAD_LETTER_BYTES_MAX else raw[:DEAD_LETTER_BYTES_MAX]
