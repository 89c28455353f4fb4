"""A database with every migration applied, for a whole module: jobs and audit need nothing else."""

from collections.abc import Callable

import pytest

from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings


@pytest.fixture(scope="session")
def desk_settings(settings_for: Callable[[str], Settings]) -> Settings:
    settings = settings_for("operations")
    with connection(settings) as conn:
        migrate(conn, settings)
    return settings
