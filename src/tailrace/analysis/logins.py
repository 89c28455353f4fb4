"""Accounts that analysts log in with: members of `tailrace_analyst` with bounds of their own.

Roles belong to the whole cluster while settings may differ by database, so the bounds are set `IN DATABASE`. They are
defaults that a session can change, except for the connection limit and what is granted.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import psycopg
import stamina
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tailrace.analysis.access import ROLE
from tailrace.errors import PreconditionError, UsageError
from tailrace.sql.rendering import quoted

DEFAULT_LOGIN: Final = "tailrace_analyst_login"
CONNECTIONS_MAX: Final = 10
ATTEMPTS_MAX: Final = 6
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Login:
    """An account to be made or renewed. `valid_until` (aware) ends its password, not its open sessions."""

    name: str
    password: str
    valid_until: datetime
    connections_max: int = CONNECTIONS_MAX


def session_bounds(timeout_s: float, analytics: str) -> Mapping[str, str]:
    """Settings of an analyst's session; `analytics` is the schema's name."""
    return {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{round(timeout_s * 1000)}ms",
        "idle_in_transaction_session_timeout": "10min",
        "timezone": "UTC",
        "search_path": f"{quoted(analytics)}, pg_catalog",
        "jit": "off",
    }


def ensure_login(conn: psycopg.Connection, login: Login, bounds: Mapping[str, str]) -> None:
    """Make the account or give it a new password; both sets its bounds in the connection's database.

    Safe beside others doing the same. Raises `UsageError` for a name that needs quotes, `PreconditionError` where the
    connection's account may not make roles, or the name belongs to a role that may do more than an analyst.
    """
    if not _NAME.fullmatch(login.name):
        raise UsageError(f"{login.name!r} is no name for an account", fix="small letters, digits and _")
    try:
        _refuse_others(conn, login.name)
        _again(lambda: _ensure(conn, login, bounds))
    except errors.InsufficientPrivilege as error:
        raise PreconditionError(
            f"this account may not make {login.name}: {error.diag.message_primary}",
            fix=f"an administrator makes a login that is a member of {ROLE}; give it as DATABASE_URL_RO",
        ) from error


def _refuse_others(conn: psycopg.Connection, name: str) -> None:
    """An existing account gets a new password here: it must be no more than an analyst."""
    row = conn.execute(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication OR EXISTS ("
        " SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        " WHERE m.member = r.oid AND g.rolname <> %s) FROM pg_roles r WHERE rolname = %s",
        (ROLE, name),
    ).fetchone()
    if row and row[0]:
        raise PreconditionError(f"{name} may do more than an analyst and is left alone", fix="choose another name")


def _ensure(conn: psycopg.Connection, login: Login, bounds: Mapping[str, str]) -> None:
    name = sql.Identifier(login.name)
    database = sql.Identifier(conn.info.dbname)
    try:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(name, sql.Identifier(ROLE)))
    except (errors.DuplicateObject, errors.UniqueViolation):
        conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(ROLE), name))
    with conn.transaction():
        conn.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {} VALID UNTIL {} CONNECTION LIMIT {}").format(
                name,
                sql.Literal(login.password),
                sql.Literal(login.valid_until.isoformat()),
                sql.Literal(login.connections_max),
            )
        )
        for setting, value in bounds.items():
            # A list of names is taken apart by SET alone; quoted as one literal it would be one name.
            text = sql.SQL(value) if setting == "search_path" else sql.Literal(value)
            conn.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} TO {}").format(
                    name, database, sql.Identifier(setting), text
                )
            )


def _again(step: Callable[[], T]) -> T:
    """Two commands at once change one row of the catalogue: the server then says "tuple concurrently updated"."""
    for attempt in stamina.retry_context(on=(errors.InternalError_, errors.UniqueViolation), attempts=ATTEMPTS_MAX):
        with attempt:
            return step()
    raise AssertionError("retry_context either returns or raises")


def login_dsn(dsn: str, login: Login) -> str:
    """The DSN of the same database for the account; holds its password."""
    parts = {key: value for key, value in conninfo_to_dict(dsn).items() if value is not None}
    return make_conninfo(**(parts | {"user": login.name, "password": login.password}))  # type: ignore[arg-type]  # libpq takes text for all
