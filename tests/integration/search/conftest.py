"""Search indices over a database of read models, one for each module."""

from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
from contract_events import Given
from psycopg.conninfo import conninfo_to_dict
from read_models import ReadModels
from searched import Searched

from tailrace.addresses import resolve
from tailrace.consumers.search import moving
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings


@pytest.fixture(scope="session")
def migrated(settings_for: Callable[[str], Settings]) -> Settings:
    """A database with every migration applied, to be copied and never written to."""
    settings = settings_for("search_migrated")
    with connection(settings) as conn:
        migrate(conn, settings)
    return settings


@pytest.fixture(scope="module")
async def searched(
    request: pytest.FixtureRequest, settings_for: Callable[[str], Settings], migrated: Settings, elasticsearch_url: str
) -> AsyncIterator[Searched]:
    """The module's indices, not yet begun."""
    settings = settings_for(request.module.__name__.rpartition(".")[2])
    copy, original = (conninfo_to_dict(resolve(one).postgres)["dbname"] for one in (settings, migrated))
    with psycopg.connect(resolve(migrated).postgres, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{copy}"')
        admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{original}"')
    made = Searched(ReadModels(settings))
    yield made
    await made.drop()


@pytest.fixture(autouse=True)
def _no_searches_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for searches that were told of indices before these go."""
    monkeypatch.setattr(moving, "SEARCHES_END_S", 0.0)


@pytest.fixture
def given() -> Given:
    return Given()
