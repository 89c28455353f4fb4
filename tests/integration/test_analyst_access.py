"""What the analysts' role may read, and that it may do nothing else."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.analysis.access import ROLE, explained, snapshot
from tailrace.errors import InvalidInputError, PreconditionError, TailraceError
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings

WORKSPACES = {
    "workspace_id", "name", "slug", "plan_type", "max_members", "subscription_status", "sso_enabled", "require_2fa",
    "member_count", "created_at", "updated_at", "deleted_at",
}  # fmt: skip
CHANNELS = {
    "channel_id", "workspace_id", "channel_type", "is_archived", "is_general", "allow_threads", "allow_file_upload",
    "allow_external_sharing", "member_count", "last_message_at", "created_at", "updated_at", "archived_at",
    "deleted_at",
}  # fmt: skip
NOT_FOR_ANALYSTS = {"messages_text"}
"""In the analytics schema, but granted by name only."""


@pytest.fixture(scope="module")
def migrated(settings_for: Callable[[str], Settings]) -> Settings:
    settings = settings_for("analyst_access")
    with connection(settings) as conn:
        migrate(conn, settings)
        conn.execute("SELECT runtime.ensure_month('collab.messages', '2026-11-01')")
        conn.execute("SELECT runtime.ensure_month('analytics.events', '2026-11-01')")
    return settings


@pytest.fixture
def conn(migrated: Settings) -> Iterator[psycopg.Connection]:
    with connection(migrated) as opened:
        yield opened


@pytest.fixture
def analyst(conn: psycopg.Connection) -> psycopg.Connection:
    conn.execute(f"SET ROLE {ROLE}")
    return conn


COLUMNS = """
SELECT n.nspname, c.relname, c.relispartition, a.attname,
       has_column_privilege('tailrace_analyst', c.oid, a.attnum, 'SELECT'),
       has_column_privilege('tailrace_analyst', c.oid, a.attnum, 'INSERT, UPDATE, REFERENCES')
       OR has_table_privilege('tailrace_analyst', c.oid, 'DELETE, TRUNCATE, TRIGGER')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname IN ('collab', 'analytics', 'runtime') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""


def test_every_column_is_readable_or_not_as_it_should_be(conn: psycopg.Connection):
    wrong = []
    for schema, table, is_partition, column, readable, writable in conn.execute(COLUMNS):
        if schema == "analytics":
            may = table not in NOT_FOR_ANALYSTS and not is_partition
        else:
            may = (schema, table) == ("collab", "workspaces") and column in WORKSPACES
            may |= (schema, table) == ("collab", "channels") and column in CHANNELS
        if readable is not may or writable:
            wrong.append(f"{schema}.{table}.{column}")

    assert wrong == []


def test_what_is_granted_can_be_read_and_the_rest_is_refused(analyst: psycopg.Connection):
    readable, refused = set(), set()
    relations = analyst.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('collab', 'analytics', 'runtime') AND c.relkind IN ('r', 'p', 'v')"
        " AND NOT c.relispartition"
    ).fetchall()
    for relation in relations:
        try:
            analyst.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(*relation)))
            readable.add(relation)
        except errors.InsufficientPrivilege:
            refused.add(relation)

    assert {schema for schema, _ in readable} == {"analytics"}
    assert {table for schema, table in refused if schema == "analytics"} == NOT_FOR_ANALYSTS
    assert {("collab", "users"), ("collab", "messages"), ("runtime", "dead_letters")} <= refused


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO analytics.daily_active_users SELECT * FROM analytics.daily_active_users",
        "DELETE FROM analytics.user_activity",
        "CREATE TABLE analytics.mine (x int)",
        "SELECT runtime.ensure_month('collab.messages', '2031-01-01')",
        "SELECT raw FROM runtime.dead_letters",
        "SELECT email FROM collab.users",
        "SELECT billing_email FROM collab.workspaces",
        "SELECT name FROM collab.channels",
        "SELECT pg_read_file('/etc/hostname')",
        "COPY analytics.events TO PROGRAM 'true'",
    ],
)
def test_nothing_else_is_allowed(statement: str, analyst: psycopg.Connection):
    with pytest.raises(errors.InsufficientPrivilege):
        analyst.execute(statement.encode())


def test_texts_are_read_by_whom_they_were_granted_to(conn: psycopg.Connection):
    reader = sql.Identifier(conn.info.dbname[-30:] + "_reader")
    conn.execute(sql.SQL("CREATE ROLE {0}; GRANT tailrace_analyst TO {0}").format(reader))
    try:
        conn.execute(sql.SQL("SET ROLE {}").format(reader))
        with pytest.raises(errors.InsufficientPrivilege):
            conn.execute("SELECT body FROM analytics.messages_text")
        conn.execute("RESET ROLE")
        conn.execute(sql.SQL("GRANT SELECT ON analytics.messages_text TO {}").format(reader))
        conn.execute(sql.SQL("SET ROLE {}").format(reader))
        assert conn.execute("SELECT body FROM analytics.messages_text").fetchall() == []
    finally:
        conn.execute("RESET ROLE")
        conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(reader))


def test_a_snapshot_is_read_only_of_one_moment_and_in_utc(migrated: Settings):
    with snapshot(migrated, timeout_s=5) as opened:
        names = ("transaction_read_only", "transaction_isolation", "timezone", "statement_timeout", "role")
        settings = [opened.conn.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]

    assert settings == [("on",), ("repeatable read",), ("UTC",), ("5s",), (ROLE,)]
    assert opened.as_of.replica_lag_s is None


def test_a_query_that_takes_too_long_is_cancelled(migrated: Settings):
    with pytest.raises(TailraceError, match=r"longer than 0\.2 s"), snapshot(migrated, timeout_s=0.2) as opened:
        opened.conn.execute("SELECT pg_sleep(10)")


def test_a_refusal_names_the_table_and_what_to_do(migrated: Settings):
    with pytest.raises(PreconditionError, match="users: analysts may not read that"), snapshot(migrated) as opened:
        opened.conn.execute("SELECT * FROM collab.users")


def test_an_error_does_not_quote_rows(migrated: Settings):
    with pytest.raises(InvalidInputError) as caught, explained(1), connection(migrated) as conn:
        conn.execute("CREATE TEMPORARY TABLE t (x text UNIQUE); INSERT INTO t VALUES ('secret'), ('secret')")

    assert "secret" not in str(caught.value)


def test_before_the_migrations_it_says_what_to_do(settings: Settings):
    with connection(settings) as conn:
        conn.execute("DROP SCHEMA IF EXISTS collab, analytics, runtime CASCADE")

    with pytest.raises(PreconditionError) as caught, snapshot(settings):
        pass

    assert caught.value.fix == "tailrace db migrate"


def test_an_account_outside_of_the_role_is_refused(migrated: Settings, conn: psycopg.Connection):
    outsider = conn.info.dbname[-30:] + "_outsider"
    conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(outsider)))
    try:
        parts = conninfo_to_dict(resolve(migrated).postgres) | {"user": outsider, "password": "x"}
        dsn = make_conninfo(**parts)  # type: ignore[arg-type]  # a parsed DSN has text only
        postgres = migrated.postgres.model_copy(update={"dsn_ro": SecretStr(dsn)})
        with (
            pytest.raises(PreconditionError, match="no member of tailrace_analyst"),
            snapshot(migrated.model_copy(update={"postgres": postgres})),
        ):
            pass
    finally:
        conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(outsider)))
