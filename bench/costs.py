"""CPU seconds that a run costs: of the bench's own process, of PostgreSQL's backends, of Elasticsearch."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from elasticsearch import AsyncElasticsearch
from measuring import backend_cpu_s, process_cpu_s


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds since some beginning; servers that run elsewhere count as 0."""

    client: float
    backends: float
    elasticsearch: float

    def since(self, before: "Costs") -> "Costs":
        return Costs(
            self.client - before.client,
            self.backends - before.backends,
            self.elasticsearch - before.elasticsearch,
        )


class Meter:
    """Reads the costs of one database's backends and of the nodes that a client reaches."""

    def __init__(self, dsn: str, client: AsyncElasticsearch) -> None:
        self._dsn = dsn
        self._client = client
        self._nodes: list[int] = []
        self._backends: dict[int, float] = {}

    async def read(self) -> Costs:
        """The costs now. Backends that have ended keep what they had when they were last read."""
        if not self._nodes:
            answer = await self._client.nodes.info(metric="process")
            self._nodes = [node["process"]["id"] for node in answer["nodes"].values()]
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            rows = conn.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            ).fetchall()
        for (pid,) in rows:
            self._backends[pid] = _cpu_s(backend_cpu_s, pid)
        return Costs(
            time.process_time(), sum(self._backends.values()), sum(_cpu_s(process_cpu_s, pid) for pid in self._nodes)
        )


def _cpu_s(measure: Callable[[int], float], pid: int) -> float:
    try:
        return measure(pid)
    except OSError:
        return 0.0
