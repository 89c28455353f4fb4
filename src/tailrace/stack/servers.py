"""The four servers, in the order they are listed, and which of them somebody else runs."""

from pydantic import SecretStr

from tailrace.settings import Settings
from tailrace.stack.elasticsearch import ELASTICSEARCH
from tailrace.stack.kafka import KAFKA
from tailrace.stack.postgres import POSTGRES
from tailrace.stack.redis import REDIS
from tailrace.stack.server import Server

SERVERS: dict[str, Server] = {server.name: server for server in (KAFKA, POSTGRES, REDIS, ELASTICSEARCH)}

STOP_ORDER = ("kafka", "elasticsearch", "redis", "postgres")
"""First nothing new arrives, then the copies go, last what they are copies of."""


def given_address(settings: Settings, name: str) -> str | None:
    """Address of a server that the settings name: it is somebody else's, so it is checked and never started."""
    given: dict[str, str | SecretStr | None] = {
        "kafka": settings.kafka.bootstrap_servers,
        "postgres": settings.postgres.dsn or settings.database_url,
        "redis": settings.redis.url,
        "elasticsearch": settings.elasticsearch.url,
    }
    value = given[name]
    return value.get_secret_value() if isinstance(value, SecretStr) else value or None
