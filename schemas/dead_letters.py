"""What a dead letter says in its headers: ours, and those that Kafka Connect's and Spring's screens read."""

from dataclasses import dataclass
from datetime import datetime

from tailrace.schemas.fields import rfc3339
from tailrace.schemas.refusals import OWN_FAULTS

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be applied, without its key and value, which go along unchanged.

    `topic` is the full name of the topic it was read from, `headers` are the record's own, `projection` names what
    refused it, `first_failed_at` is aware UTC. `appended_at` is the time of the record itself, aware UTC; None where
    nobody noted it.
    """

    topic: str
    partition: int
    offset: int
    headers: tuple[tuple[str, bytes], ...]
    code: str
    reason: str
    projection: str
    attempts: int
    first_failed_at: datetime
    appended_at: datetime | None = None


def dead_letter_headers(letter: DeadLetter) -> Headers:
    """Original headers, then ours, Kafka Connect's (`__connect.errors.*`) and Spring's (`kafka_dlt-original-*`).

    Connect writes numbers as decimal text. Spring writes them big-endian: the partition in four bytes, offset and
    timestamp (of the original record, Unix milliseconds) in eight.
    """
    partition, offset = str(letter.partition).encode(), str(letter.offset).encode()
    topic, code, reason = letter.topic.encode(), letter.code.encode(), letter.reason.encode()
    written_ms = round((letter.appended_at or letter.first_failed_at).timestamp() * 1000)
    return [
        *letter.headers,
        ("tr-code", code),
        ("tr-reason", reason),
        ("tr-projection", letter.projection.encode()),
        ("tr-attempt", str(letter.attempts).encode()),
        ("tr-first-failed-at", rfc3339(letter.first_failed_at).encode()),
        ("__connect.errors.topic", topic),
        ("__connect.errors.partition", partition),
        ("__connect.errors.offset", offset),
        ("__connect.errors.stage", b"TASK_PUT" if letter.code in OWN_FAULTS else b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", code),
        ("__connect.errors.exception.message", reason),
        ("kafka_dlt-original-topic", topic),
        ("kafka_dlt-original-partition", letter.partition.to_bytes(4, "big")),
        ("kafka_dlt-original-offset", letter.offset.to_bytes(8, "big")),
        ("kafka_dlt-original-timestamp", written_ms.to_bytes(8, "big")),
        ("kafka_dlt-exception-message", reason),
    ]
