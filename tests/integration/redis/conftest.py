"""Databases and keys of the caches' tests."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from cached import Cached
from contract_events import Given
from psycopg.conninfo import conninfo_to_dict
from read_models import ReadModels

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings


@pytest.fixture(scope="session")
def migrated(settings_for: Callable[[str], Settings]) -> Settings:
    """A database with every migration applied, to be copied and never written to."""
    settings = settings_for("caches_migrated")
    with connection(settings) as conn:
        migrate(conn, settings)
    return settings


@pytest.fixture(scope="module")
def cached(
    request: pytest.FixtureRequest, settings_for: Callable[[str], Settings], migrated: Settings
) -> Iterator[Cached]:
    """The module's database and keys."""
    settings = settings_for(request.module.__name__.rpartition(".")[2])
    copy, original = (conninfo_to_dict(resolve(one).postgres)["dbname"] for one in (settings, migrated))
    with psycopg.connect(resolve(migrated).postgres, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{copy}"')
        admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{original}"')
    made = Cached(ReadModels(settings))
    yield made
    made.redis.close()


@pytest.fixture
def given() -> Given:
    return Given()
