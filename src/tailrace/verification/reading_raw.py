"""Read a topic record by record, without keeping them: of a derived topic only the newest of each thing counts."""

from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.operations.topics import topic_partitions
from tailrace.settings import Settings
from tailrace.unpacking import bound_unpacking

FETCH_BYTES_MAX: Final = 8 * 2**20
POLL_RECORDS_MAX: Final = 5_000
POLL_TIMEOUT_MS: Final = 500
SILENT_POLLS_MAX: Final = 120


async def read_raw(settings: Settings, topic: str, take: Callable[[ConsumerRecord], None]) -> bool:
    """Give each record of the topic (name without prefix), as it ends now, to `take`; each partition in order.

    Returns whether the topic still holds its beginning. Raises `PreconditionError` where it does not exist,
    `UnreachableError` where the broker does not answer. Nothing is committed and no group is joined.
    """
    bootstrap = resolve(settings).kafka
    partitions = await topic_partitions(settings, bootstrap, [topic])
    bound_unpacking()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
        request_timeout_ms=settings.kafka.request_timeout_ms,
    )
    try:
        await consumer.start()
        try:
            consumer.assign(partitions)
            first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            for tp in partitions:
                consumer.seek(tp, first[tp])
            left, silent = [tp for tp in partitions if first[tp] < ends[tp]], 0
            while left and silent <= SILENT_POLLS_MAX:
                found = await consumer.getmany(*left, timeout_ms=POLL_TIMEOUT_MS, max_records=POLL_RECORDS_MAX)
                for tp, records in found.items():
                    for record in records:
                        if record.offset < ends[tp]:
                            take(record)
                # Not by records: a partition may end with the marker of a transaction, which is none.
                left = [tp for tp in left if await consumer.position(tp) < ends[tp]]
                silent = 0 if found else silent + 1
            if left:
                raise UnreachableError(f"kafka sends nothing of {left[0].topic}", fix="tailrace doctor")
            return not any(first.values())
        finally:
            await consumer.stop()
    except KafkaError as error:
        raise UnreachableError(f"kafka at {bootstrap}: {type(error).__name__}", fix="tailrace doctor") from error
