"""Dead letters from the table to the topic `collab.dead-letters`: an outbox, so the row is there before the record."""

import base64
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer

from tailrace.consumers.crash_points import crash_point
from tailrace.consumers.postgres.session import Statements
from tailrace.schemas.dead_letters import DeadLetter, Headers, dead_letter_headers

RELAY_BATCH_MAX = 200
SEND_TIMEOUT_S = 15.0
DEAD_LETTER_BYTES_MAX = 4 * 2**20 - 64 * 2**10
"""Value size that fits the topic's limit of 4 MiB beside its headers."""


def _headers(row: Any) -> Headers:
    return dead_letter_headers(
        DeadLetter(
            topic=row["topic"],
            partition=row["partition"],
            offset=row["offset"],
            headers=tuple((name, base64.b64decode(value)) for name, value in orjson.loads(row["headers"])),
            code=row["code"],
            reason=row["reason"],
            projection=row["projection"],
            attempts=row["attempts"],
            first_failed_at=row["first_failed_at"],
            appended_at=row["append_time"],
        )
    )


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
            await producer.send(topic, value=_fitting(row["raw"]), key=row["key"], headers=_headers(row))
            for row in rows
        ]
        for future in sent:
            await future
        crash_point("relayed")
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
