"""Brings the schema of one instance to a number, up or down.

Each migration is one transaction together with its row in `runtime.schema_migrations`, so a crash at any point leaves
either both or neither. The ledger is read again in every such transaction, under a lock: two migrators at once apply
each migration once.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

import psycopg
import stamina
import structlog
from psycopg import errors

from tailrace.errors import NotFoundError, PreconditionError, TailraceError, UsageError
from tailrace.settings import PostgresSettings, Settings
from tailrace.sql.catalog import Migration, migrations, queries, quoted, render, schema_names
from tailrace.sql.tokens import Statement, line_of, statements

ROLES = ("tailrace_analyst", "tailrace_worker")
"""Group roles without login; they belong to the whole cluster, so many databases share them."""

MIGRATOR_WAIT_S = 120
"""How long a second migrator waits for the first, per migration."""

LOCK_TIMEOUT_MS = 2_000
"""A statement that waits longer for a table gives up: whoever comes behind it in the queue would wait as well."""

LOCK_ATTEMPTS_MAX = 6
LOCK_RETRY_WAIT_MAX_S = 5.0
STATEMENT_TIMEOUT_S = 3_600

_TRANSACTION_CONTROL = {"abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"}

log = structlog.get_logger()

T = TypeVar("T")


class AppliedMigration(NamedTuple):
    """A row of the ledger; `applied_at` is UTC, `took_ms` the time of the migration's own statements."""

    number: int
    name: str
    checksum: str
    applied_at: datetime
    applied_by: str
    took_ms: int

    @property
    def label(self) -> str:
        """How the step is called wherever a person reads it, e.g. `0002_partition_keeper`."""
        return f"{self.number:04d}_{self.name}"


class MigrationStatus(NamedTuple):
    """The files against the ledger. The last three are labels such as `0002_partition_keeper`, normally none."""

    applied: tuple[AppliedMigration, ...]
    pending: tuple[Migration, ...]
    drifted: tuple[str, ...]
    """Applied, but the file's text or name is another one now."""
    unknown: tuple[str, ...]
    """Applied, but there is no such file: another release was here."""
    skipped: tuple[str, ...]
    """Never applied although a later one was."""

    @property
    def current(self) -> int:
        """Number of the newest applied migration, 0 if there is none."""
        return self.applied[-1].number if self.applied else 0

    @property
    def consistent(self) -> bool:
        """Whether the ledger is a beginning of the files."""
        return not (self.drifted or self.unknown or self.skipped)


class _Session:
    """One connection and one instance's names for the schemas."""

    def __init__(self, conn: psycopg.Connection, postgres: PostgresSettings) -> None:
        if conn.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            raise PreconditionError("migrations need a connection that is in no transaction")
        self.conn = conn
        self.schemas = schema_names(postgres)
        self._queries = queries("migrations")

    def run(self, query: str, *parameters: object) -> psycopg.RawCursor:
        text = render(self._queries[query], self.schemas)
        return psycopg.RawCursor(self.conn).execute(text.encode(), parameters or None)

    def values(self, query: str, *parameters: object) -> list[str]:
        return [str(row[0]) for row in self.run(query, *parameters)]

    def ledger(self) -> tuple[AppliedMigration, ...]:
        if self.values("ledger_exists") != ["True"]:
            return ()
        return tuple(AppliedMigration(*row) for row in self.run("ledger"))

    def limit(self, **milliseconds: int) -> None:
        """Bound waits for the rest of the transaction."""
        for name, limit in milliseconds.items():
            psycopg.RawCursor(self.conn).execute(b"SELECT set_config($1, $2, true)", (name, f"{limit}ms"))

    def lock(self) -> None:
        """Wait until no other migrator of this instance is in a transaction.

        Read committed whatever the account's default is: what the other one did must be seen after the wait.
        """
        self.conn.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self.limit(lock_timeout=MIGRATOR_WAIT_S * 1_000, statement_timeout=STATEMENT_TIMEOUT_S * 1_000)
        try:
            self.run("lock", self.schemas["runtime"])
        except errors.LockNotAvailable as error:
            raise PreconditionError(
                f"another migration has been running for more than {MIGRATOR_WAIT_S} s", fix="tailrace db status"
            ) from error
        self.limit(lock_timeout=LOCK_TIMEOUT_MS)


def ensure_schemas_and_roles(conn: psycopg.Connection, postgres: PostgresSettings) -> None:
    """Create the instance's schemas, its ledger and the group roles where they are missing.

    Safe beside any number of others doing the same, in this database or another of the cluster. Raises
    `PreconditionError` if the account may not create what is missing.
    """
    session = _Session(conn, postgres)
    try:
        for role in session.values("missing_roles", list(ROLES)):
            _create_role(conn, role)
        with conn.transaction():
            session.lock()
            for schema in session.values("missing_schemas", list(session.schemas.values())):
                conn.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
            session.run("create_ledger")
    except errors.InsufficientPrivilege as error:
        raise PreconditionError(
            f"this account may not prepare the database: {error.diag.message_primary}",
            fix=f"as an administrator: CREATE ROLE {' NOLOGIN; CREATE ROLE '.join(ROLES)} NOLOGIN; and CREATE on the"
            " database for this account",
        ) from error


def _create_role(conn: psycopg.Connection, role: str) -> None:
    """Create a group role. There is no IF NOT EXISTS, and an advisory lock would only hold inside one database."""
    try:
        conn.execute(f"CREATE ROLE {quoted(role)} NOLOGIN".encode())
    except (errors.DuplicateObject, errors.UniqueViolation):
        log.debug("role_exists", role=role)


def status(
    conn: psycopg.Connection, settings: Settings, *, catalog: Sequence[Migration] | None = None
) -> MigrationStatus:
    """Compare the files (default: the packaged ones) with what was applied; changes nothing, creates nothing."""
    session = _Session(conn, settings.postgres)
    return _compare(migrations() if catalog is None else catalog, session.ledger())


def _compare(catalog: Sequence[Migration], ledger: tuple[AppliedMigration, ...]) -> MigrationStatus:
    files = {migration.number: migration for migration in catalog}
    done = {applied.number for applied in ledger}
    newest = max(done, default=0)
    return MigrationStatus(
        applied=ledger,
        pending=tuple(migration for migration in catalog if migration.number > newest),
        drifted=tuple(
            applied.label
            for applied in ledger
            if (file := files.get(applied.number)) and (file.name, file.checksum) != (applied.name, applied.checksum)
        ),
        unknown=tuple(applied.label for applied in ledger if applied.number not in files),
        skipped=tuple(
            migration.label for migration in catalog if migration.number < newest and migration.number not in done
        ),
    )


def _refuse_inconsistent(found: MigrationStatus) -> None:
    if found.drifted:
        raise PreconditionError(
            f"{', '.join(found.drifted)}: the file changed after it was applied",
            fix="restore the file and put the change into a new migration, or roll back to before it",
        )
    if found.unknown:
        raise PreconditionError(
            f"{', '.join(found.unknown)}: applied, but this release has no such file", fix="use the newer release"
        )
    if found.skipped:
        raise PreconditionError(
            f"{', '.join(found.skipped)}: never applied although later ones were",
            fix=f"renumber it behind {found.current:04d}",
        )


def plan(
    conn: psycopg.Connection,
    settings: Settings,
    *,
    to: int | None = None,
    catalog: Sequence[Migration] | None = None,
) -> list[Migration]:
    """What `migrate` would apply, in order; changes nothing. Raises what `migrate` would raise before it begins."""
    found = status(conn, settings, catalog=catalog)
    _refuse_inconsistent(found)
    newest = found.pending[-1].number if found.pending else found.current
    if to is not None and to > newest:
        raise NotFoundError(f"there is no migration {to:04d}; the newest is {newest:04d}")
    if to is not None and to < found.current:
        raise UsageError(f"{found.current:04d} is applied, {to:04d} lies behind", fix=f"tailrace db rollback --to {to}")
    return [migration for migration in found.pending if to is None or migration.number <= to]


def migrate(
    conn: psycopg.Connection,
    settings: Settings,
    *,
    to: int | None = None,
    catalog: Sequence[Migration] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[AppliedMigration]:
    """Apply every pending migration up to number `to` (default: all) and return what was applied, maybe nothing.

    `catalog` defaults to the packaged migrations; `clock` (seconds) measures `took_ms`. The connection must be in no
    transaction. Raises `PreconditionError` if files and ledger disagree, another migrator is too slow or tables stay
    locked by others; `TailraceError` with file, line and the server's message if a statement fails. A migration that
    fails leaves nothing behind, the ones before it stay.
    """
    files = migrations() if catalog is None else catalog
    plan(conn, settings, to=to, catalog=files)
    ensure_schemas_and_roles(conn, settings.postgres)
    session = _Session(conn, settings.postgres)

    def apply_next() -> AppliedMigration | None:
        found = _compare(files, session.ledger())
        _refuse_inconsistent(found)
        if not found.pending or (to is not None and found.pending[0].number > to):
            return None
        migration = found.pending[0]
        started = clock()
        _run_file(session, f"{migration.label}.up.sql", migration.up)
        took_ms = round((clock() - started) * 1_000)
        row = session.run("record", migration.number, migration.name, migration.checksum, took_ms).fetchone()
        return AppliedMigration(*row) if row else None

    done: list[AppliedMigration] = []
    while applied := _in_transaction(session, apply_next):
        done.append(applied)
        log.info("migration_applied", migration=applied.label, took_ms=applied.took_ms)
    return done


def rollback(
    conn: psycopg.Connection, settings: Settings, *, to: int, catalog: Sequence[Migration] | None = None
) -> list[str]:
    """Take back every applied migration above number `to`, newest first; returns their labels.

    A drifted migration can be taken back: it is the way out. Raises `PreconditionError` where the file of one is
    missing, else as `migrate` does.
    """
    files = {migration.number: migration for migration in (migrations() if catalog is None else catalog)}
    session = _Session(conn, settings.postgres)

    def revert_newest() -> str | None:
        ledger = session.ledger()
        if not ledger or (newest := ledger[-1]).number <= to:
            return None
        if newest.number not in files:
            raise PreconditionError(f"{newest.label}: no file to roll it back with", fix="use the newer release")
        migration = files[newest.number]
        _run_file(session, f"{migration.label}.down.sql", migration.down)
        session.run("forget", newest.number)
        return newest.label

    done: list[str] = []
    while label := _in_transaction(session, revert_newest):
        done.append(label)
        log.info("migration_rolled_back", migration=label)
    return done


def _in_transaction(session: _Session, step: Callable[[], T]) -> T:
    """Run one step alone and all or nothing, again when tables were locked by others."""
    again = (errors.LockNotAvailable, errors.DeadlockDetected)
    try:
        for attempt in stamina.retry_context(
            on=again, attempts=LOCK_ATTEMPTS_MAX, timeout=None, wait_max=LOCK_RETRY_WAIT_MAX_S
        ):
            with attempt, session.conn.transaction():
                session.lock()
                return step()
    except again as error:
        raise PreconditionError(
            f"others kept a table locked in {LOCK_ATTEMPTS_MAX} attempts of {LOCK_TIMEOUT_MS} ms; nothing was changed",
            fix="end the long transactions (pg_stat_activity, pg_blocking_pids) and run it again",
        ) from error
    raise AssertionError("retry_context either returns or raises")


def _run_file(session: _Session, file: str, text: str) -> None:
    for statement in statements(text):
        if statement.text.split(None, 1)[0].lower() in _TRANSACTION_CONTROL:
            raise TailraceError(
                f"{file}:{statement.line}: a migration is one transaction already", fix="remove the statement"
            )
        rendered = render(statement.text, session.schemas)
        try:
            psycopg.RawCursor(session.conn).execute(rendered.encode())
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            raise
        except psycopg.Error as error:
            if session.conn.broken:
                raise
            raise _failure(file, statement, rendered, error) from error


def _failure(file: str, statement: Statement, rendered: str, error: psycopg.Error) -> TailraceError:
    """The place in the file and the server's message, without DETAIL: that one quotes rows."""
    diagnosis = error.diag
    place = f"{file}:{statement.line}"
    if diagnosis.statement_position:
        position = int(diagnosis.statement_position) - 1
        column = position - rendered.rfind("\n", 0, position)
        place = f"{file}:{statement.line + line_of(rendered, position) - 1}:{column}"
    return TailraceError(
        f"{place}: {diagnosis.message_primary} ({diagnosis.sqlstate}); the migration was rolled back",
        fix=diagnosis.message_hint or "correct the file and run it again",
    )
