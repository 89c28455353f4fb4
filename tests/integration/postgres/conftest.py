"""Databases of the read models: migrated once in a run, copied for each module, emptied for each story."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import psycopg
import pytest
from contract_events import CloudEvent, Given
from psycopg.conninfo import conninfo_to_dict
from read_models import ReadModels, Tables
from worker_process import PARTITIONS, Start, workers
from worlds import Order, Tell, across_keys, as_given, in_any_order, keeping, tell

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings


@pytest.fixture(scope="session")
def migrated(settings_for: Callable[[str], Settings]) -> Settings:
    """A database with every migration applied, to be copied and never written to."""
    settings = settings_for("pg_migrated")
    with connection(settings) as conn:
        migrate(conn, settings)
    return settings


@pytest.fixture(scope="session")
def fresh_models(settings_for: Callable[[str], Settings], migrated: Settings) -> Callable[[str], ReadModels]:
    """Makes databases with empty read models."""

    def make(name: str) -> ReadModels:
        settings = settings_for(name)
        copy, original = (conninfo_to_dict(resolve(one).postgres)["dbname"] for one in (settings, migrated))
        with psycopg.connect(resolve(migrated).postgres, dbname="postgres", autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{copy}"')
            admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{original}"')
        return ReadModels(settings)

    return make


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest, fresh_models: Callable[[str], ReadModels]) -> ReadModels:
    """The module's database."""
    return fresh_models(request.module.__name__.rpartition(".")[2])


@pytest.fixture
async def live(fresh_models: Callable[[str], ReadModels], request: pytest.FixtureRequest) -> Settings:
    """A database and topics of the test's own, the topics with few partitions."""
    settings = fresh_models(request.node.name).settings
    settings.kafka.partitions, settings.kafka.partitions_small = PARTITIONS, 1
    await apply_topics(settings, resolve(settings).kafka)
    return settings


@pytest.fixture
async def start(live: Settings, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts workers on `live`; they are killed when the test ends."""
    async with workers(live, tmp_path) as start_one:
        yield start_one


@pytest.fixture
def given() -> Given:
    return Given()


def _teller(models: ReadModels, order: Order) -> Tell:
    async def told(*events: CloudEvent, keep: Sequence[CloudEvent] = ()) -> Tables:
        return (await tell(models, events, keeping(*keep) if keep else order)).tables

    return told


@pytest.fixture
def told(models: ReadModels) -> Tell:
    """Tell events in their order, twice, and replayed: `rows = await told(event, …)`."""
    return _teller(models, as_given)


@pytest.fixture
def told_across_keys(models: ReadModels) -> Tell:
    """The same, and in every interleaving that keeps the order of each key."""
    return _teller(models, across_keys)


@pytest.fixture
def told_in_any_order(models: ReadModels) -> Tell:
    """The same, and in any order at all; `keep=[…]` names events that stay in their order among themselves."""
    return _teller(models, in_any_order)
