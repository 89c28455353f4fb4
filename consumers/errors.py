"""What a worker decides differently about.

ConsumerError
├── FencedError      another worker claimed or moved a partition: drop it, claim again later
├── HaltError        a partition must stop until an operator has looked
├── RefusedByStore   the store refuses one event for what it is: a dead letter
├── LogUnreachable   the broker does not answer: ask again
├── BrokenLogError   a batch of the log cannot be read: ask again, then halt
├── OutOfRangeError  a position lies outside of the log: claim again, which finds out why
├── GaveUpError      a batch failed too often for reasons that should have passed: the process ends
└── TooManyRefused   events are refused by a fault of ours, too many for bad events: the process ends
"""

from tailrace.consumers.batch import TopicPartition
from tailrace.errors import TailraceError


class ConsumerError(TailraceError):
    """A worker cannot go on as it was."""


class FencedError(ConsumerError):
    """Somebody else claimed or moved the progress of these partitions; nothing of the batch was applied."""

    def __init__(self, partitions: frozenset[TopicPartition]) -> None:
        named = ", ".join(f"{tp.topic}/{tp.partition}" for tp in sorted(partitions))
        super().__init__(f"another worker moved {named}")
        self.partitions = partitions


class HaltError(ConsumerError):
    """Going on would be wrong; the partition waits for an operator. `code` is stable, e.g. `H_RETENTION`."""

    def __init__(self, partition: TopicPartition, code: str, reason: str) -> None:
        super().__init__(f"{partition.topic}/{partition.partition} halted: {reason}")
        self.partition = partition
        self.code = code
        self.reason = reason


class RefusedByStoreError(ConsumerError):
    """The store refuses what a batch holds, and would refuse it again."""

    def __init__(self, sqlstate: str, kind: str) -> None:
        super().__init__(f"the store refused the batch: {kind} ({sqlstate})")
        self.sqlstate = sqlstate
        self.kind = kind


class GaveUpError(ConsumerError):
    """A batch failed again and again although the store answers; a fresh process may do better."""

    def __init__(self, attempts: int, kind: str) -> None:
        super().__init__(f"gave up after {attempts} attempts: {kind}", fix="restart the worker; tailrace doctor")


class TooManyRefusedError(ConsumerError):
    """Event after event is refused by a fault of ours; what fails is the program or the store, not the events."""

    def __init__(self, count: str, reason: str) -> None:
        super().__init__(
            f"{count} were refused by a fault of ours ({reason}): these are no bad events. The positions stand where "
            "everything before them is applied or recorded",
            fix="mend the fault and start the worker again, then `tailrace dlq ls`, `tailrace dlq redrive`",
        )


class LogUnreachableError(ConsumerError):
    """The broker does not answer, or not yet; `kind` is the client's error."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"Kafka does not answer: {kind}", fix="tailrace doctor")
        self.kind = kind


class BrokenLogError(ConsumerError):
    """The next batch of a partition is damaged: its checksum or its form is wrong."""

    def __init__(self, partition: TopicPartition) -> None:
        super().__init__(f"{partition.topic}/{partition.partition}: a damaged batch in the log")
        self.partition = partition


class OutOfRangeError(ConsumerError):
    """Records were asked for at offsets that the log does not have."""

    def __init__(self, partitions: frozenset[TopicPartition]) -> None:
        named = ", ".join(f"{tp.topic}/{tp.partition}" for tp in sorted(partitions))
        super().__init__(f"positions outside of the log: {named}")
        self.partitions = partitions
