"""How far a projection has applied each partition: a row in the store itself, moved by compare-and-set.

The position in the log that counts is only ever this one. Kafka's committed offset is advisory, for lag tools; its
group generation is no fencing token, because it restarts when a group is emptied. Epochs are issued by PostgreSQL.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.errors import HaltError


@dataclass(frozen=True, slots=True)
class Claim:
    """A partition as its new owner found it. `next_offset` is the first record that is not applied yet."""

    partition: TopicPartition
    next_offset: int
    epoch: int
    fingerprint: str | None
    halted_code: str | None


def fingerprint(record: Record) -> str:
    """16 hex digits that tell the record at a position of one log from that of another log under the same name."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(b"%d/%d/" % (record.offset, record.timestamp_ms))
    digest.update(record.key or b"")
    digest.update(b"/")
    digest.update(record.value or b"")
    return digest.hexdigest()


def check_position(claim: Claim, beginnings: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
    """Raise `HaltError` where the position lies outside of the log; going on would lose events or skip a new log."""
    low, high = beginnings[claim.partition], ends[claim.partition]
    if claim.next_offset < low:
        raise HaltError(
            claim.partition,
            "H_RETENTION",
            f"next offset {claim.next_offset} is gone: the log now begins at {low}",
        )
    if claim.next_offset > high:
        raise HaltError(
            claim.partition,
            "H_TRUNCATED",
            f"next offset {claim.next_offset} lies beyond the log's end {high}: truncated or recreated",
        )


def check_fingerprint(claim: Claim, record: Record) -> None:
    """Raise `HaltError` where the last applied record is another one than it was."""
    if claim.fingerprint is not None and fingerprint(record) != claim.fingerprint:
        raise HaltError(
            claim.partition,
            "H_OTHER_LOG",
            f"the record at offset {record.offset} is not the one that was applied: another log under this name",
        )


def damaged(partition: TopicPartition, position: int) -> HaltError:
    """The halt before a batch that the broker holds damaged; every copy of the log may be asked, but not this one."""
    return HaltError(
        partition, "H_DAMAGED", f"the batch at offset {position} is damaged: its checksum or its form is wrong"
    )
