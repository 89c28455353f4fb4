"""Puts the Redis worker's parts together."""

from tailrace.addresses import resolve
from tailrace.consumers.redis.caretaker import Caretaker
from tailrace.consumers.redis.sink import RedisSink
from tailrace.projections.registry import Projection
from tailrace.settings import Settings


def redis_sink(settings: Settings, projection: Projection, postgres: str) -> RedisSink:
    """A sink with connections of its own.

    Raises `UnreachableError` where nobody says where Redis is; whether it answers is found out by the first batch.
    """
    return RedisSink(postgres, resolve(settings).redis, settings, projection)


def caretaker(settings: Settings, postgres: str, owner: str) -> Caretaker:
    """What runs beside the worker: fills the caches when Redis has lost them, and tidies up."""
    return Caretaker(postgres, resolve(settings).redis, settings, owner)
