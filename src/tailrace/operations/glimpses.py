"""A look at keys in Redis and at documents in Elasticsearch, for a person: whether each is there, and which one it is.

A store that does not answer makes everything in it unknown (None), and nothing fails.
"""

from collections.abc import Sequence
from typing import Any, Final

import structlog

from tailrace.addresses import resolve
from tailrace.errors import TailraceError
from tailrace.settings import Settings

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 5.0

Seen = dict[str, dict[str, Any] | None]
"""What was asked for by its name: `exists`, and more where it does; None is unknown."""


async def keys_seen(settings: Settings, names: Sequence[str]) -> Seen:
    """Which keys exist, of what type, with their seconds to live (None: for ever). Names with a `*` are unknown."""
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster
    from redis.exceptions import RedisClusterException, RedisError

    asked = [name for name in names if "*" not in name]
    found: Seen = dict.fromkeys(names)
    if not asked:
        return found
    try:
        connect: Any = RedisCluster.from_url if settings.redis.cluster else Redis.from_url
        async with connect(
            resolve(settings).redis,
            decode_responses=True,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        ) as client:
            for name in asked:
                kind = str(await client.type(name))
                ttl = await client.ttl(name)
                there = {"exists": True, "type": kind, "ttl_seconds": ttl if ttl >= 0 else None}
                found[name] = {"exists": False} if kind == "none" else there
    except (RedisError, RedisClusterException, OSError, TailraceError) as error:
        log.warning("redis_not_asked", error=type(error).__name__)
    return found


async def documents_seen(settings: Settings, documents: Sequence[tuple[str, str]]) -> Seen:
    """Which documents a search finds, named `alias/id`, with index and version. Ids with a `*` are unknown."""
    from elasticsearch import ApiError, AsyncElasticsearch, TransportError

    found: Seen = {f"{alias}/{one}": None for alias, one in documents}
    asked = [(alias, one) for alias, one in documents if "*" not in one]
    if not asked:
        return found
    try:
        async with AsyncElasticsearch(resolve(settings).elasticsearch, request_timeout=TIMEOUT_S) as client:
            for alias, one in asked:
                answer = await client.search(
                    index=f"{settings.elasticsearch.index_prefix}{alias}",
                    query={"ids": {"values": [one]}},
                    source=False,
                    version=True,
                )
                hits = answer["hits"]["hits"]
                there = {"exists": True, "index": hits[0]["_index"], "version": hits[0]["_version"]} if hits else None
                found[f"{alias}/{one}"] = there or {"exists": False}
    except (ApiError, TransportError, OSError, TailraceError) as error:
        log.warning("elasticsearch_not_asked", error=type(error).__name__)
    return found
