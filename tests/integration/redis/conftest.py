"""Databases and keys of the caches' tests."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from cached import Cached
from contract_events import Given
from psycopg.conninfo import conninfo_to_dict
from read_models import ReadModels
from redis_servers import Cluster, cluster

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


def copied(settings: Settings, migrated: Settings) -> Settings:
    """The settings, with a copy of the migrated database under their name."""
    copy, original = (conninfo_to_dict(resolve(one).postgres)["dbname"] for one in (settings, migrated))
    with psycopg.connect(resolve(migrated).postgres, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{copy}"')
        admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{original}"')
    return settings


@pytest.fixture(scope="module")
def own_settings(
    request: pytest.FixtureRequest, settings_for: Callable[[str], Settings], migrated: Settings
) -> Settings:
    """Settings of the module's own, with a migrated database."""
    return copied(settings_for(request.module.__name__.rpartition(".")[2]), migrated)


@pytest.fixture(scope="module")
def models(own_settings: Settings) -> ReadModels:
    """The module's database; made while it is empty, so that it knows what to clear."""
    return ReadModels(own_settings)


@pytest.fixture(scope="module")
def cached(models: ReadModels) -> Iterator[Cached]:
    """The module's database and keys."""
    made = Cached(models)
    yield made
    made.redis.close()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three masters."""
    with cluster(tmp_path_factory.mktemp("cluster")) as formed:
        yield formed


@pytest.fixture(scope="module")
def clustered(models: ReadModels, redis_cluster: Cluster) -> Iterator[Cached]:
    """The module's database, and keys in the cluster."""
    made = Cached(models, redis_cluster.settings(models.settings))
    yield made
    made.redis.close()


@pytest.fixture
def given() -> Given:
    return Given()
