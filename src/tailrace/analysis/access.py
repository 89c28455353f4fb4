"""Reading as an analyst: one read-only snapshot under the role `tailrace_analyst`, with its bounds and its age."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import errors

from tailrace.addresses import resolve
from tailrace.errors import InvalidInputError, PreconditionError, TailraceError, UnreachableError
from tailrace.projections.registry import POSTGRES, PROJECTIONS
from tailrace.settings import Settings
from tailrace.sql.rendering import quoted, render, schema_names

ROLE: Final = "tailrace_analyst"
REPLICA_LAG_MAX_S: Final = 60.0
TIMEOUT_DEFAULT_S: Final = 30.0
ROWS_MAX: Final = 1_000_000
"""Upper bound of the row cap, whatever is asked for: results are held in memory."""

_REPLICA_LAG = """
    SELECT pg_is_in_recovery(),
           CASE WHEN NOT pg_is_in_recovery() THEN 0
                WHEN EXISTS (SELECT FROM pg_stat_wal_receiver)
                     AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8
"""
# Without the second case a replica of a quiet primary would look older every second.


@dataclass(frozen=True, slots=True)
class AsOf:
    """How far a result's data goes. `read_at` is the moment of the snapshot (UTC).

    `replica_lag_s` is None on the primary; on a replica, seconds behind, or -1 where it cannot tell. `projections` maps
    a name to `data_to` (append time of the newest applied record), `lag_seconds` (upper bound) and `state`; a version
    that is being rebuilt appears as `name@version`.
    """

    read_at: datetime
    replica_lag_s: float | None
    projections: dict[str, dict[str, Any]]

    @property
    def stale(self) -> bool:
        """Whether it was read from a replica that is too far behind."""
        return self.replica_lag_s is not None and not 0 <= self.replica_lag_s <= REPLICA_LAG_MAX_S

    @property
    def data_to(self) -> datetime | None:
        """How far the projection goes that fills the analysts' tables; None where it has applied nothing."""
        return self.projections.get(POSTGRES.name, {}).get("data_to")

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"read_at": self.read_at, "replica_lag_s": self.replica_lag_s, "stale": self.stale,
                "projections": self.projections}  # fmt: skip

    def sentence(self) -> str:
        """For people, e.g. `data to 2026-11-20 12:04:31 UTC`."""
        parts = [f"data to {_clock(self.data_to)}" if self.data_to else "nothing applied yet"]
        parts += [f"{name} {one['state']}" for name, one in self.projections.items() if one["state"] == "halted"]
        if self.replica_lag_s is not None:
            lag = "by an unknown time" if self.replica_lag_s < 0 else f"{self.replica_lag_s:.0f} s"
            parts.append(f"{'STALE: ' if self.stale else ''}replica behind {lag}")
        return " · ".join(parts)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open read-only transaction of the analyst's role; everything read in it is of one moment."""

    conn: psycopg.Connection
    settings: Settings
    as_of: AsOf

    @property
    def analytics(self) -> str:
        """Quoted name of the analytics schema."""
        return quoted(self.settings.postgres.schema_analytics)

    def render(self, text: str) -> str:
        """SQL text with the instance's names for the schemas."""
        return render(text, schema_names(self.settings.postgres))


@contextmanager
def snapshot(
    settings: Settings, *, timeout_s: float = TIMEOUT_DEFAULT_S, allow_stale: bool = False
) -> Iterator[Snapshot]:
    """Open a snapshot on `DATABASE_URL_RO` where that is set, else on the primary.

    Every statement ends after `timeout_s`. Raises `UnreachableError`; `PreconditionError` where the account is no
    member of the role, the views are missing, or the replica is more than 60 s behind (unless `allow_stale`); and for
    statements that fail `InvalidInputError` with the server's message, never with rows.
    """
    with _connection(settings) as conn, explained(timeout_s), conn.transaction():
        _become_analyst(conn, settings, timeout_s)
        as_of = _as_of(conn, settings)
        if as_of.stale and not allow_stale:
            lag = "an unknown time" if (as_of.replica_lag_s or 0) < 0 else f"{as_of.replica_lag_s:.0f} s"
            raise PreconditionError(
                f"the replica is {lag} behind (more than {REPLICA_LAG_MAX_S:.0f} s)",
                fix="--allow-stale reads it all the same and says so; without DATABASE_URL_RO the primary is read",
            )
        yield Snapshot(conn, settings, as_of)


@contextmanager
def _connection(settings: Settings) -> Iterator[psycopg.Connection]:
    """Nothing outlives the transaction, so PgBouncer in transaction mode may stand in between."""
    try:
        conn = psycopg.connect(
            resolve(settings).postgres_ro,
            autocommit=True,
            connect_timeout=max(1, round(settings.postgres.connect_timeout_s)),
            prepare_threshold=None,
            application_name="tailrace analyst",
        )
    except psycopg.OperationalError as error:
        raise UnreachableError(f"PostgreSQL: {error}".rstrip(), fix="check the address and the server") from error
    with conn:
        yield conn


def _become_analyst(conn: psycopg.Connection, settings: Settings, timeout_s: float) -> None:
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        conn.execute(f"SET LOCAL ROLE {ROLE}".encode())
    except (errors.InsufficientPrivilege, errors.InvalidParameterValue) as error:
        raise PreconditionError(
            f"this account is no member of {ROLE}", fix=f"as an administrator: GRANT {ROLE} TO the account"
        ) from error
    local = {
        "statement_timeout": f"{round(timeout_s * 1000)}ms",
        "lock_timeout": f"{settings.postgres.lock_timeout_ms}ms",
        "idle_in_transaction_session_timeout": f"{round(timeout_s * 1000) + 60_000}ms",
        "timezone": "UTC",
        "datestyle": "ISO",
        "search_path": f"{quoted(settings.postgres.schema_analytics)}, pg_catalog",
        # Estimates over generated days are far too high, and compiling for them costs more than the queries.
        "jit": "off",
    }
    for name, value in local.items():
        conn.execute("SELECT set_config(%s, %s, true)", (name, value))


def _as_of(conn: psycopg.Connection, settings: Settings) -> AsOf:
    in_recovery, lag = conn.execute(_REPLICA_LAG).fetchone() or (False, 0.0)
    analytics = quoted(settings.postgres.schema_analytics)
    read_at = (conn.execute("SELECT now()").fetchone() or (None,))[0]
    columns = "projection, version, data_to, lag_seconds::float8, state"
    text = f"SELECT {columns} FROM {analytics}.freshness ORDER BY projection, version"  # noqa: S608 - quoted name
    rows = conn.execute(text.encode()).fetchall()
    return AsOf(
        read_at=read_at.astimezone(UTC),
        replica_lag_s=(-1.0 if lag is None else max(0.0, float(lag))) if in_recovery else None,
        projections={
            _key(name, version): {"data_to": to.astimezone(UTC) if to else None, "lag_seconds": seconds, "state": state}
            for name, version, to, seconds, state in rows
        },
    )


def _key(name: str, version: int) -> str:
    known = PROJECTIONS.get(name)
    return name if known is None or known.version == version else f"{name}@{version}"


@contextmanager
def explained(timeout_s: float) -> Iterator[None]:
    """Turn the server's errors into ours; messages without DETAIL, which quotes rows."""
    try:
        yield
    except errors.QueryCanceled as error:
        raise TailraceError(
            f"it took longer than {timeout_s:g} s and was cancelled", fix="ask for fewer days, or --timeout S"
        ) from error
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise PreconditionError(f"{error.diag.message_primary}", fix="tailrace db migrate") from error
    except errors.InsufficientPrivilege as error:
        raise PreconditionError(
            f"{error.diag.message_primary}: analysts may not read that",
            fix="tailrace query run columns lists what they may",
        ) from error
    except psycopg.OperationalError as error:
        raise UnreachableError("PostgreSQL closed the connection", fix="run the command again") from error
    except psycopg.Error as error:
        hint = error.diag.message_hint
        raise InvalidInputError(f"{error.diag.message_primary or type(error).__name__}", fix=hint) from error
