"""Faust's consumer with what it gets wrong put right: it commits our positions, and reads only what is committed.

Faust acknowledges records that no agent saw, counts an offset as committed although the commit failed, and reads the
records of transactions that were aborted. Its acknowledgements are therefore dropped, and every commit asks
`positions` instead.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from tailrace.settings import KafkaSettings
from tailrace.unpacking import bound_unpacking

FETCH_MAX_BYTES: Final = 16 * 2**20
PARTITION_FETCH_BYTES: Final = 4 * 2**20
METADATA_MAX_AGE_MS: Final = 30_000
FETCH_WAIT_MS: Final = 250

Positions = Callable[[int], int | None]
"""Offset that may be committed, by partition of the one topic that a stream reads."""


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        settings: KafkaSettings = transport.settings
        self._assignor = RoundRobinPartitionAssignor
        bound_unpacking()
        return AIOKafkaConsumer(
            bootstrap_servers=transport.bootstrap,
            client_id=self.app.conf.broker_client_id,
            group_id=self.app.conf.id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            request_timeout_ms=settings.request_timeout_ms,
            max_poll_interval_ms=max(300_000, settings.rebalance_timeout_ms),
            fetch_max_bytes=FETCH_MAX_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            check_crcs=True,
        )


class _Consumer(driver.Consumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.anchors: dict[int, int | None] = {}  # replaced, never changed: whoever holds it sees one tenure

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Note where the commits stand at the start of a tenure: what comes first should come from there."""
        await super().perform_seek()
        self.anchors = {tp.partition: self._committed_offset[tp] for tp in self.assignment()}

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self.assignment() if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        # They would pile up: nobody else takes them away.
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        self._gap.pop(tp, None)
        positions: Positions = self.transport.positions  # type: ignore[attr-defined]  # ours, below
        return positions(tp.partition)


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer above. `bootstrap` is `host:port,…`."""

    Consumer = _Consumer

    def __init__(self, app: Any, bootstrap: str, settings: KafkaSettings, positions: Positions) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.bootstrap = bootstrap
        self.settings = settings
        self.positions = positions


def anchors_of(consumer: Any) -> Mapping[int, int | None]:
    """Committed offset of every assigned partition when it was assigned; None where there was no commit."""
    anchors: Mapping[int, int | None] = consumer.anchors
    return anchors
