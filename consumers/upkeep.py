"""What a worker does beside applying: relays dead letters, and gives up events that were parked too long."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tailrace.consumers.batch import TopicPartition
from tailrace.consumers.postgres.session import Statements
from tailrace.consumers.relay import RELAY_BATCH_MAX, relay_once

log = structlog.get_logger()

ROUND_S = 1.0
ORPHANS_EVERY_ROUNDS = 30
ORPHANS_MAX = 1_000
RELEASED_MAX = 1_000

Wake = Callable[[Mapping[TopicPartition, frozenset[str]]], None]
"""Told the refused events, by partition, behind which nothing has to wait any more."""


class Upkeep:
    """Runs beside one worker, on a connection and a producer of its own; every fault is logged and tried again."""

    def __init__(
        self, dsn: str, bootstrap: str, statements: Statements, projection: str, topic: str, *, wake: Wake | None = None
    ) -> None:
        self._dsn = dsn
        self._bootstrap = bootstrap
        self._statements = statements
        self._projection = projection
        self._topic = topic
        self._wake = wake
        self._connection: asyncpg.Connection | None = None
        self._producer: AIOKafkaProducer | None = None

    async def run(self, stopping: asyncio.Event, parking_limit_s: int) -> None:
        """Work in rounds until `stopping` is set, then once more, so that a clean stop leaves nothing unrelayed."""
        rounds = 0
        while not stopping.is_set():
            await self._round(parking_limit_s if rounds % ORPHANS_EVERY_ROUNDS == 0 else None)
            rounds += 1
            try:
                await asyncio.wait_for(stopping.wait(), ROUND_S)
            except TimeoutError:
                continue
        await self._round(None)
        await self._close()

    async def _round(self, parking_limit_s: int | None) -> None:
        try:
            connection = await self._connect()
            if parking_limit_s is not None:
                await self._give_up(connection, datetime.now(UTC) - timedelta(seconds=parking_limit_s))
            await self._wake_released(connection)
            while await self._relay(connection) == RELAY_BATCH_MAX:
                pass
        except (asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, OSError, TimeoutError) as error:
            log.warning("upkeep_failed", error=type(error).__name__)
            await self._close()

    async def _give_up(self, connection: asyncpg.Connection, parked_before: datetime) -> None:
        rows = await connection.fetch(self._statements["overdue"], self._projection, parked_before, ORPHANS_MAX)
        if rows:
            log.warning("orphans_given_up", events=len(rows))

    async def _wake_released(self, connection: asyncpg.Connection) -> None:
        """Tell the worker of events that wait behind a dead letter which somebody has discarded."""
        if self._wake is None:
            return
        released: dict[TopicPartition, set[str]] = {}
        for row in await connection.fetch(self._statements["unblocked"], self._projection, RELEASED_MAX):
            released.setdefault(TopicPartition(row["topic"], row["partition"]), set()).add(str(row["waits_for"]))
        if released:
            self._wake({partition: frozenset(refused) for partition, refused in released.items()})

    async def _relay(self, connection: asyncpg.Connection) -> int:
        waiting = await connection.fetchval(self._statements["has_unrelayed"], self._projection)
        if not waiting:
            return 0
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True, max_request_size=5 * 2**20
            )
            await producer.start()
            self._producer = producer
        count = await relay_once(connection, self._statements, self._producer, self._projection, self._topic)
        if count:
            log.info("dead_letters_relayed", records=count)
        return count

    async def _connect(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=10,
                command_timeout=60,
                # So seldom that nothing is gained by them, and behind PgBouncer they would be somebody else's.
                statement_cache_size=0,
            )
        return self._connection

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        producer, self._producer = self._producer, None
        if connection is not None:
            connection.terminate()
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), 10)
            except (KafkaError, OSError, TimeoutError):
                log.warning("producer_discarded")
