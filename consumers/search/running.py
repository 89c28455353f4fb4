"""Puts the search worker's parts together."""

from collections.abc import Mapping

from tailrace.addresses import resolve
from tailrace.consumers.postgres.progress_store import ProgressStore
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
