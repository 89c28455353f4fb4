"""The servers of the fault bench: a stack of its own, whose servers are restarted and killed."""

import asyncio
import signal
from collections.abc import Iterable
from pathlib import Path

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import sql
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.topics import apply_topics
from tailrace.settings import ElasticsearchSettings, KafkaSettings, PostgresSettings, RedisSettings, Settings
from tailrace.stack import lifecycle
from tailrace.stack.process import stop
from tailrace.stack.servers import SERVERS
from tailrace.stack.state import load_state, locked, save_state

PARTITIONS = 3
TEMPLATE = "faults_template"
STOP_TIMEOUT_S = 30.0
LOCK_WAIT_S = 60.0


class BenchServers:
    """Kafka, PostgreSQL and what else is asked for, in one folder; each schedule has names of its own in them."""

    def __init__(self, data_dir: Path, cache_dir: Path | None = None) -> None:
        more = {"cache_dir": cache_dir} if cache_dir is not None else {}
        self.settings = Settings(_env_file=None, data_dir=data_dir, **more)

    def up(self, names: Iterable[str]) -> None:
        """Start these servers, and make the database that others are copied from."""
        lifecycle.up(self.settings, only=list(names))
        with self._admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(TEMPLATE)))
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        template = self._named(TEMPLATE)
        with connection(template) as conn:
            migrate(conn, template)

    def down(self, *, purge: bool) -> None:
        """Stop everything."""
        lifecycle.down(self.settings, purge=purge)

    async def begin(self, name: str, *, batch_max_events: int) -> Settings:
        """Settings with a database, topics, groups, keys and indices of their own."""
        settings = self._named(name)
        settings.worker.batch_max_events = batch_max_events
        await asyncio.to_thread(self._copy, name)
        await apply_topics(settings, resolve(settings).kafka)
        return settings

    async def end(self, name: str) -> None:
        """Drop the database and the topics; keys and indices stay until the stack goes."""
        await asyncio.to_thread(self._drop, name)
        admin = AIOKafkaAdminClient(bootstrap_servers=resolve(self.settings).kafka)
        await admin.start()
        try:
            await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(f"{name}.")])
        finally:
            await admin.close()

    def _drop(self, name: str) -> None:
        with self._admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _copy(self, name: str) -> None:
        self._drop(name)
        with self._admin() as admin:
            copy, original = sql.Identifier(name), sql.Identifier(TEMPLATE)
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, original))

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(resolve(self.settings).postgres, dbname="postgres", autocommit=True)

    def _named(self, name: str) -> Settings:
        dsn, _, _ = resolve(self.settings).postgres.rpartition("/")
        return Settings(
            _env_file=None,
            data_dir=self.settings.data_dir,
            cache_dir=self.settings.cache_dir,
            kafka=KafkaSettings(
                topic_prefix=f"{name}.", group_prefix=f"{name}.", partitions=PARTITIONS, partitions_small=1
            ),
            postgres=PostgresSettings(dsn=SecretStr(f"{dsn}/{name}")),
            redis=RedisSettings(key_prefix=f"{name}:"),
            elasticsearch=ElasticsearchSettings(index_prefix=f"{name}-", shards=1, replicas=0),
        )

    def restart(self, name: str, first: signal.Signals | None = None) -> None:
        """End a server with a signal of ours, or as it is usually stopped, and bring it back; returns when it answers.

        The watcher must not bring it back meanwhile, and gives up on a server that dies too often.
        """
        data_dir = self.settings.data_dir
        with locked(data_dir, wait_s=LOCK_WAIT_S):
            state = load_state(data_dir)
            assert state is not None
            record = state.servers[name]
            save_state(data_dir, state.with_server(name, record.model_copy(update={"wanted": False})))
            stop(record.process, first or SERVERS[name].stop_signal, timeout_s=STOP_TIMEOUT_S)
        lifecycle.up(self.settings, only=[name])
