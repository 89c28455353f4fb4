"""Opens a terminal client of PostgreSQL as an analyst."""

import os
import secrets
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from psycopg.conninfo import conninfo_to_dict

from tailrace.addresses import resolve
from tailrace.analysis.access import ROLE
from tailrace.analysis.logins import DEFAULT_LOGIN, Login, ensure_login, login_dsn, session_bounds
from tailrace.errors import PreconditionError, UsageError
from tailrace.operations.database import connection
from tailrace.settings import Settings

CLIENTS: Final = ("pgcli", "psql")
_VARIABLES: Final = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
                     "dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}  # fmt: skip


def session_dsn(settings: Settings, *, name: str | None, valid_h: float, timeout_s: float) -> str:
    """A DSN that analysts may use; it holds a password.

    `DATABASE_URL_RO` where that is set and no account is asked for; else that of the account `name` (default one for
    this command), made or renewed on the primary with a new password. Sessions that are open stay open.
    """
    addresses = resolve(settings)
    is_given = settings.postgres.dsn_ro is not None or settings.database_url_ro is not None
    if is_given and name is None:
        return addresses.postgres_ro
    login = Login(name or DEFAULT_LOGIN, secrets.token_urlsafe(24), datetime.now(UTC) + timedelta(hours=valid_h))
    with connection(settings) as conn:
        ensure_login(conn, login, session_bounds(timeout_s, settings.postgres.schema_analytics))
    return login_dsn(addresses.postgres_ro, login)


def open_shell(
    settings: Settings, dsn: str, *, client: str | None, arguments: Sequence[str], timeout_s: float
) -> NoReturn:
    """Replace this process by the client; the password goes through the environment, never the command line.

    Raises `UsageError` for an unknown client and `PreconditionError` where it is not installed.
    """
    if client is not None and client not in CLIENTS:
        raise UsageError(f"--client {client}: one of {', '.join(CLIENTS)}")
    path = find_client(client)
    parts = conninfo_to_dict(dsn)
    environment = {**os.environ, **{_VARIABLES[key]: str(value) for key, value in parts.items() if key in _VARIABLES}}
    bounds = session_bounds(timeout_s, settings.postgres.schema_analytics)
    # An account that was given may be more than an analyst. PgBouncer refuses start-up parameters in words.
    options = " ".join(f"-c {name}={_escaped(value)}" for name, value in {"role": ROLE, **bounds}.items())
    environment["PGOPTIONS"] = " ".join(filter(None, (os.environ.get("PGOPTIONS"), options)))
    os.execve(path, [Path(path).name, *arguments], environment)  # noqa: S606 - no shell in between


def _escaped(value: str) -> str:
    """Backslashes before what the server would take for the end of an option."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def find_client(name: str | None) -> str:
    """Path of the client, or of the first that is installed. Debian keeps the programs of a server off PATH."""
    for candidate in (name,) if name else CLIENTS:
        if found := shutil.which(candidate):
            return found
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{candidate}"))
        if versions:
            return str(versions[-1])
    raise PreconditionError(
        f"{name or 'psql'} is not installed", fix="pip install pgcli, or the package postgresql-client"
    )
