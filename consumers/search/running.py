"""Puts the search worker's parts together."""

from collections.abc import Mapping

from tailrace.addresses import resolve
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.search.beside import Beside, make_tools
from tailrace.consumers.search.indices import connect
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.sink import SearchSink
from tailrace.projections.registry import Projection
from tailrace.settings import Settings


def search_sink(settings: Settings, projection: Projection, postgres: str, topics: Mapping[str, str]) -> SearchSink:
    """A sink with connections of its own; `topics` maps short to full names.

    Raises `UnreachableError` where nobody says where Elasticsearch is; whether it answers is found out by the first
    batch, which waits for it.
    """
    client = connect(resolve(settings).elasticsearch, settings.elasticsearch)
    progress = ProgressStore(postgres, settings.postgres, projection.name, projection.version)
    database = Database(postgres, settings.postgres, f"tailrace worker {projection.name}: reading")
    return SearchSink(client, progress, database, settings.elasticsearch, topics)


def search_jobs(settings: Settings, projection: Projection, postgres: str, owner: str) -> Beside:
    """What does this worker's share of the jobs, with connections of its own."""
    client = connect(resolve(settings).elasticsearch, settings.elasticsearch)
    database = Database(postgres, settings.postgres, f"tailrace worker {projection.name}: jobs")
    return Beside(make_tools(client, database, settings.elasticsearch), client, settings.elasticsearch, owner)
