"""A database and a key prefix of a benchmark's own, on the servers that the settings name; both go at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import redis
from psycopg import sql
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import RedisSettings, Settings, load_settings

NAMES_AT_ONCE = 5_000


@contextmanager
def own_caches(purpose: str) -> Iterator[Settings]:
    """Settings of a migrated database and of a prefix under which no key is."""
    base = load_settings()
    name, dsn = f"bench_{purpose}_{os.getpid()}", resolve(base).postgres
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        settings = base.model_copy(deep=True)
        settings.postgres.dsn = SecretStr(f"{dsn.rpartition('/')[0]}/{name}")
        settings.redis = RedisSettings(url=base.redis.url, key_prefix=f"{name}:", cluster=base.redis.cluster)
        with connection(settings) as conn:
            migrate(conn, settings)
        yield settings
    finally:
        with redis.Redis.from_url(resolve(base).redis) as client:
            names = list(client.scan_iter(match=f"{name}:*", count=NAMES_AT_ONCE))
            for start in range(0, len(names), NAMES_AT_ONCE):
                client.unlink(*names[start : start + NAMES_AT_ONCE])
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
