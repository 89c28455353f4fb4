"""Instances in which everything runs: tables, topics, workers of all three stores."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rebuilt import Instance

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings

PARTITIONS = 3


@pytest.fixture
async def instance(settings_for: Callable[[str], Settings], elasticsearch_url: str, tmp_path: Path) -> Instance:
    """An instance of the test's own, migrated and with topics; nothing runs yet."""
    del elasticsearch_url  # it must be there
    settings = settings_for("rebuild")
    settings.kafka.partitions, settings.kafka.partitions_small = PARTITIONS, 1
    settings.elasticsearch.shards, settings.elasticsearch.refresh_interval_s = 1, 1
    with connection(settings) as conn:
        migrate(conn, settings)
    await apply_topics(settings, resolve(settings).kafka)
    return Instance(settings, tmp_path)
