"""One set of real servers for a whole run, and names of its own for every test.

Where the servers are and who stops them: `tests/support/run_servers.py`.
"""

import asyncio
import os
import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import elastic_transport
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from run_servers import servers_of

from tailrace import stack as servers
from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.settings import ElasticsearchSettings, KafkaSettings, PostgresSettings, RedisSettings, Settings

TEMPLATE = "tailrace_template"
"""Database the tests' databases are copied from, if somebody has made it (e.g. with the migrations applied)."""
CHEAP = ("kafka", "postgres", "redis")
OWN_ENVIRONMENT = ("TAILRACE_CACHE_DIR",)
CLEAN_UP_TIMEOUT_S = 30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("integration")


@pytest.fixture(scope="session", autouse=True)
def _no_outside_settings() -> Iterator[None]:
    """Tests create and drop databases: addresses in the developer's environment must not reach them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            ours = name.startswith("TAILRACE_") and not name.startswith("TAILRACE_TEST_")
            if (ours and name not in OWN_ENVIRONMENT) or name.startswith("DATABASE_URL"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def stack_settings(_no_outside_settings: None, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of the run's servers: PostgreSQL, Kafka and Redis; Elasticsearch only if `elasticsearch_url` is used."""
    with servers_of(request.config) as settings:
        servers.up(settings, only=CHEAP)
        yield settings


@pytest.fixture(scope="session")
def stack(stack_settings: Settings) -> servers.StackStatus:
    """The run's servers without Elasticsearch."""
    return servers.status(stack_settings)


@pytest.fixture(scope="session")
def elasticsearch_url(stack_settings: Settings) -> str:
    """Elasticsearch, started when the first test asks for it (about ten seconds)."""
    servers.up(stack_settings, only=["elasticsearch"])
    return resolve(stack_settings).elasticsearch


@pytest.fixture(scope="session")
def full_stack(stack_settings: Settings, elasticsearch_url: str) -> servers.StackStatus:
    """All four servers."""
    return servers.status(stack_settings)


@pytest.fixture(scope="session")
def settings_for(stack_settings: Settings) -> Iterator[Callable[[str], Settings]]:
    """Makes settings with a database, topics, groups, keys and indices of their own; they go when the run ends."""
    made: list[Settings] = []

    def make(name: str) -> Settings:
        made.append(_isolated(stack_settings, name))
        return made[-1]

    yield make
    for settings in made:
        _clean_up(stack_settings, settings)


@pytest.fixture
def settings(stack_settings: Settings, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings with names of this test's own; everything under them goes when it ends."""
    isolated = _isolated(stack_settings, request.node.name)
    yield isolated
    _clean_up(stack_settings, isolated)


def _isolated(base: Settings, name: str) -> Settings:
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:30]
    name = f"{slug}_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(resolve(base).postgres, autocommit=True) as connection:
        template = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone()
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE if template else "template0"}"')
    return Settings(
        _env_file=None,
        data_dir=base.data_dir,
        cache_dir=base.cache_dir,
        kafka=KafkaSettings(topic_prefix=f"{name}.", group_prefix=f"{name}."),
        postgres=PostgresSettings(dsn=SecretStr(_with_database(resolve(base).postgres, name))),
        redis=RedisSettings(key_prefix=f"{name}:"),
        elasticsearch=ElasticsearchSettings(index_prefix=f"{name}-"),
    )


def _with_database(dsn: str, database: str) -> str:
    head, _, _ = dsn.rpartition("/")
    return f"{head}/{database}"


def _clean_up(base: Settings, isolated: Settings) -> None:
    database = conninfo_to_dict(resolve(isolated).postgres)["dbname"]
    with psycopg.connect(resolve(base).postgres, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    _delete_keys(resolve(base).redis, isolated.redis.key_prefix)
    # A thread of its own: the test's event loop must not be disturbed.
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, _delete_topics(resolve(base).kafka, isolated.kafka.topic_prefix)).result(
            CLEAN_UP_TIMEOUT_S
        )
    # Elasticsearch may be starting for a test in another process; then this one made no index in it.
    with suppress(UnreachableError, elastic_transport.ConnectionError):
        _delete_indices(resolve(base).elasticsearch, isolated.elasticsearch.index_prefix)


def _delete_keys(url: str, prefix: str) -> None:
    import redis

    with redis.Redis.from_url(url) as client:
        if keys := list(client.scan_iter(match=f"{prefix}*", count=1000)):
            client.unlink(*keys)


async def _delete_topics(bootstrap_servers: str, prefix: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        if topics := [topic for topic in await admin.list_topics() if topic.startswith(prefix)]:
            await admin.delete_topics(topics)
    finally:
        await admin.close()


def _delete_indices(url: str, prefix: str) -> None:
    from elasticsearch import Elasticsearch

    with Elasticsearch(url) as client:
        if names := list(client.indices.get(index=f"{prefix}*", expand_wildcards="all")):
            client.indices.delete(index=",".join(names))
