import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import stamina

from tailrace.addresses import resolve
from tailrace.errors import NotFoundError, PreconditionError, TailraceError, UsageError
from tailrace.months.keeper import ensure_partitions
from tailrace.operations import migrations
from tailrace.operations.database import connection
from tailrace.settings import Settings
from tailrace.sql import catalog
from tailrace.verification.tables import TABLES

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CATALOG = (Path(__file__).parent / "catalog.sql").read_text(encoding="utf-8")


@pytest.fixture
def empty(settings: Settings) -> Settings:
    """Settings whose database has none of our schemas, whatever it was copied from."""
    with connection(settings) as conn:
        conn.execute("DROP SCHEMA IF EXISTS collab, analytics, runtime CASCADE")
    return settings


@pytest.fixture
def conn(empty: Settings) -> Iterator[psycopg.Connection]:
    with connection(empty) as opened:
        yield opened


@pytest.fixture
def steps(tmp_path: Path) -> Callable[..., tuple[catalog.Migration, ...]]:
    """Writes migrations, up texts by label; each takes back the table that is called like it."""

    def write(**texts: str) -> tuple[catalog.Migration, ...]:
        for label, text in texts.items():
            (tmp_path / f"{label[1:]}.up.sql").write_text(text)
            (tmp_path / f"{label[1:]}.down.sql").write_text(f"DROP TABLE collab.{label[6:]}")
        return catalog.migrations(tmp_path)

    return write


def tables(conn: psycopg.Connection) -> set[str]:
    return {row[0] for row in conn.execute("SELECT relname FROM pg_class WHERE relnamespace = 'collab'::regnamespace")}


def catalog_of(conn: psycopg.Connection) -> list[str]:
    """Every object of the three schemas as text, without the ledger."""
    return [row[0] for row in conn.execute(CATALOG)]


def wait_for_waiters(conn: psycopg.Connection, count: int) -> None:
    """Until so many sessions of this database wait for an advisory lock; the server passes the time."""
    for _ in range(500):
        waiters = conn.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"
        )
        if waiters.fetchone() == (count,):
            return
        conn.execute("SELECT pg_sleep(0.02)")
    pytest.fail("nobody waits")


def test_migrations_are_applied_in_order_and_once(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="CREATE TABLE collab.a (x int)", _0002_b="CREATE TABLE collab.b AS SELECT * FROM collab.a;")

    applied = migrations.migrate(conn, empty, catalog=files)

    assert [(one.number, one.name, one.checksum) for one in applied] == [(one[0], one[1], one[4]) for one in files]
    assert migrations.status(conn, empty, catalog=files).applied == tuple(applied)
    assert applied[0].applied_at <= applied[1].applied_at
    assert migrations.migrate(conn, empty, catalog=files) == []


def test_the_time_of_a_migration_is_measured_with_the_given_clock(
    conn: psycopg.Connection, empty: Settings, steps: Any
):
    ticks = iter([10.0, 12.5])

    applied = migrations.migrate(conn, empty, catalog=steps(_0001_a="SELECT 1"), clock=lambda: next(ticks))

    assert applied[0].took_ms == 2_500


def test_migrating_stops_at_the_given_number(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="CREATE TABLE collab.a ()", _0002_b="CREATE TABLE collab.b ()", _0003_c="SELECT 1")

    applied = migrations.migrate(conn, empty, to=2, catalog=files)

    assert [one.label for one in applied] == ["0001_a", "0002_b"]
    assert [one.label for one in migrations.status(conn, empty, catalog=files).pending] == ["0003_c"]
    with pytest.raises(UsageError, match="0002 is applied, 0001 lies behind"):
        migrations.migrate(conn, empty, to=1, catalog=files)
    with pytest.raises(NotFoundError, match="no migration 0004; the newest is 0003"):
        migrations.migrate(conn, empty, to=4, catalog=files)


def test_a_plan_and_a_status_create_nothing(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="CREATE TABLE collab.a ()")

    assert migrations.plan(conn, empty, catalog=files) == list(files)
    assert migrations.status(conn, empty, catalog=files).applied == ()
    assert conn.execute("SELECT to_regnamespace('runtime')").fetchone() == (None,)


def test_a_file_that_changed_after_it_was_applied_is_refused_by_name(
    conn: psycopg.Connection, empty: Settings, steps: Any
):
    migrations.migrate(conn, empty, catalog=steps(_0001_a="CREATE TABLE collab.a ()"))
    changed = steps(_0001_a="CREATE TABLE collab.a (x int)", _0002_b="CREATE TABLE collab.b ()")

    assert migrations.status(conn, empty, catalog=changed).drifted == ("0001_a",)
    with pytest.raises(PreconditionError, match="0001_a: the file changed after it was applied"):
        migrations.migrate(conn, empty, catalog=changed)
    assert tables(conn) == {"a"}


def test_a_drifted_migration_can_be_taken_back(conn: psycopg.Connection, empty: Settings, steps: Any):
    migrations.migrate(conn, empty, catalog=steps(_0001_a="CREATE TABLE collab.a ()"))
    changed = steps(_0001_a="CREATE TABLE collab.a (x int)")

    assert migrations.rollback(conn, empty, to=0, catalog=changed) == ["0001_a"]
    assert [one.label for one in migrations.migrate(conn, empty, catalog=changed)] == ["0001_a"]


def test_a_database_ahead_of_the_files_is_refused(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="SELECT 1", _0002_b="SELECT 1")
    migrations.migrate(conn, empty, catalog=files)

    assert migrations.status(conn, empty, catalog=files[:1]).unknown == ("0002_b",)
    with pytest.raises(PreconditionError, match="0002_b: applied, but this release has no such file"):
        migrations.migrate(conn, empty, catalog=files[:1])
    with pytest.raises(PreconditionError, match="0002_b: no file to roll it back with"):
        migrations.rollback(conn, empty, to=0, catalog=files[:1])


def test_a_migration_that_was_skipped_is_refused(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="SELECT 1", _0002_b="SELECT 1")
    migrations.migrate(conn, empty, catalog=files)
    conn.execute("DELETE FROM runtime.schema_migrations WHERE number = 1")

    with pytest.raises(PreconditionError, match="0001_a: never applied although later ones were"):
        migrations.migrate(conn, empty, catalog=files)


def test_a_failing_migration_leaves_nothing_and_names_the_place(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(
        _0001_a="CREATE TABLE collab.a ()",
        _0002_b="-- why\nCREATE TABLE collab.b ();\nINSERT INTO collab.b\n  SELECT nothing;\nSELECT 1",
    )

    with pytest.raises(TailraceError) as failure:
        migrations.migrate(conn, empty, catalog=files)

    assert str(failure.value) == (
        '0002_b.up.sql:4:10: column "nothing" does not exist (42703); the migration was rolled back'
    )
    assert tables(conn) == {"a"}
    assert [one.label for one in migrations.status(conn, empty, catalog=files).applied] == ["0001_a"]


def test_a_failure_without_a_position_names_the_line_of_its_statement(
    conn: psycopg.Connection, empty: Settings, steps: Any
):
    files = steps(_0001_a="CREATE TABLE collab.a ();\n\nCREATE TABLE collab.a ();")

    with pytest.raises(TailraceError, match=r'0001_a\.up\.sql:3: relation "a" already exists \(42P07\)'):
        migrations.migrate(conn, empty, catalog=files)


def test_the_report_of_a_failure_quotes_no_rows(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(
        _0001_a="CREATE TABLE collab.a AS SELECT 'ann@example.org' AS email FROM generate_series(1, 2);"
        "CREATE UNIQUE INDEX ON collab.a (email)"
    )

    with pytest.raises(TailraceError) as failure:
        migrations.migrate(conn, empty, catalog=files)

    assert "could not create unique index" in str(failure.value)
    assert "ann@example.org" not in f"{failure.value} {failure.value.fix}"


@pytest.mark.parametrize("text", ["CREATE TABLE collab.a ();\nCOMMIT;\nSELECT 1/0", "SELECT 1;\nbegin;"])
def test_a_migration_cannot_end_its_transaction(conn: psycopg.Connection, empty: Settings, steps: Any, text: str):
    with pytest.raises(TailraceError, match=r"0001_a\.up\.sql:2: a migration is one transaction already"):
        migrations.migrate(conn, empty, catalog=steps(_0001_a=text))

    assert tables(conn) == set()


def test_two_migrators_at_once_apply_each_migration_once(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="CREATE TABLE collab.a ()", _0002_b="CREATE TABLE collab.b ()")

    def migrate() -> list[str]:
        with connection(empty) as own:
            return [one.label for one in migrations.migrate(own, empty, catalog=files)]

    with ThreadPoolExecutor(2) as pool, psycopg.connect(resolve(empty).postgres) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('tailrace.migrations.runtime', 0))")
        both = [pool.submit(migrate) for _ in range(2)]
        wait_for_waiters(conn, 2)
        holder.commit()
        applied = sorted(label for one in both for label in one.result())

    assert applied == ["0001_a", "0002_b"]


def test_a_migrator_waits_for_another_only_so_long(
    empty: Settings, conn: psycopg.Connection, steps: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(migrations, "MIGRATOR_WAIT_S", 0.05)
    with psycopg.connect(resolve(empty).postgres) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('tailrace.migrations.runtime', 0))")

        with pytest.raises(PreconditionError, match="another migration has been running"):
            migrations.migrate(conn, empty, catalog=steps(_0001_a="SELECT 1"))


def test_a_locked_table_is_waited_for_in_short_attempts(
    conn: psycopg.Connection, empty: Settings, steps: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_MS", 50)
    migrations.migrate(conn, empty, catalog=steps(_0001_a="CREATE TABLE collab.a ()"))
    files = steps(_0002_b="CREATE TABLE collab.b (); ALTER TABLE collab.a ADD COLUMN x int")
    seen: list[set[str]] = []

    with psycopg.connect(resolve(empty).postgres) as reader, connection(empty) as other:
        reader.execute("SELECT FROM collab.a")

        def end_of_first_attempt(_: object) -> None:
            seen.append(tables(other))
            reader.rollback()

        stamina.instrumentation.set_on_retry_hooks([end_of_first_attempt])
        try:
            applied = migrations.migrate(conn, empty, catalog=files)
        finally:
            stamina.instrumentation.set_on_retry_hooks(None)

    assert seen == [{"a"}], "the first attempt was rolled back as a whole"
    assert [one.label for one in applied] == ["0002_b"]


def test_a_table_that_stays_locked_is_given_up(
    conn: psycopg.Connection, empty: Settings, steps: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(migrations, "LOCK_ATTEMPTS_MAX", 1)
    migrations.migrate(conn, empty, catalog=steps(_0001_a="CREATE TABLE collab.a ()"))
    with psycopg.connect(resolve(empty).postgres) as reader:
        reader.execute("SELECT FROM collab.a")

        with pytest.raises(PreconditionError, match="others kept a table locked in 1 attempts of 20 ms"):
            migrations.rollback(conn, empty, to=0, catalog=steps())

    assert tables(conn) == {"a"}


def test_a_connection_inside_a_transaction_is_refused(conn: psycopg.Connection, empty: Settings, steps: Any):
    with conn.transaction(), pytest.raises(PreconditionError, match="in no transaction"):
        migrations.migrate(conn, empty, catalog=steps(_0001_a="SELECT 1"))


def test_the_account_s_default_isolation_does_not_matter(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="CREATE TABLE collab.a ()")
    migrations.ensure_schemas_and_roles(conn, empty.postgres)

    def migrate() -> list[str]:
        with connection(empty) as own:
            own.execute("SET default_transaction_isolation = 'serializable'")
            return [one.label for one in migrations.migrate(own, empty, catalog=files)]

    with ThreadPoolExecutor(1) as pool, psycopg.connect(resolve(empty).postgres) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('tailrace.migrations.runtime', 0))")
        late = pool.submit(migrate)
        wait_for_waiters(conn, 1)
        holder.execute("CREATE TABLE collab.a ()")
        holder.execute(
            "INSERT INTO runtime.schema_migrations (number, name, checksum, took_ms) VALUES (1, 'a', %s, 0)",
            [files[0].checksum],
        )
        holder.commit()

        assert late.result() == []


def test_roles_are_made_by_many_databases_at_once(
    settings_for: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
):
    mark = uuid.uuid4().hex[:8]
    roles = (f"tailrace_test_{mark}_a", f"tailrace_test_{mark}_b")
    monkeypatch.setattr(migrations, "ROLES", roles)
    databases = [settings_for("roles") for _ in range(3)]

    def ensure(settings: Settings) -> None:
        with connection(settings) as own:
            migrations.ensure_schemas_and_roles(own, settings.postgres)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ensure, databases * 2))

    with connection(databases[0]) as own:
        found = own.execute(
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname = ANY (%s) ORDER BY 1", [list(roles)]
        ).fetchall()
        own.execute(f"DROP ROLE {', '.join(roles)}")
    assert found == [(role, False) for role in roles]


def test_an_account_that_may_not_create_schemas_is_told_what_to_ask_for(conn: psycopg.Connection, empty: Settings):
    role = f"tailrace_test_{uuid.uuid4().hex[:8]}"
    conn.execute(f"CREATE ROLE {role}; SET ROLE {role}")
    try:
        with pytest.raises(PreconditionError, match="permission denied") as refusal:
            migrations.ensure_schemas_and_roles(conn, empty.postgres)
    finally:
        conn.execute(f"RESET ROLE; DROP ROLE {role}")

    assert "CREATE ROLE tailrace_analyst NOLOGIN; CREATE ROLE tailrace_worker NOLOGIN" in str(refusal.value.fix)


def test_rolling_back_takes_the_newest_first(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(
        _0001_a="CREATE TABLE collab.a ()", _0002_b="CREATE TABLE collab.b ()", _0003_c="CREATE TABLE collab.c ()"
    )
    migrations.migrate(conn, empty, catalog=files)

    assert migrations.rollback(conn, empty, to=1, catalog=files) == ["0003_c", "0002_b"]
    assert tables(conn) == {"a"}
    assert migrations.status(conn, empty, catalog=files).current == 1


def test_a_failing_rollback_keeps_the_migration(conn: psycopg.Connection, empty: Settings, steps: Any):
    files = steps(_0001_a="CREATE TABLE collab.other ()")
    migrations.migrate(conn, empty, catalog=files)

    with pytest.raises(TailraceError, match=r'0001_a\.down\.sql:1: table "a" does not exist'):
        migrations.rollback(conn, empty, to=0, catalog=files)
    assert migrations.status(conn, empty, catalog=files).current == 1


def test_the_real_migrations_down_and_up_again_leave_the_same_catalog(conn: psycopg.Connection, empty: Settings):
    migrations.migrate(conn, empty)
    ensure_partitions(conn, empty, now=NOW)
    before = catalog_of(conn)

    migrations.rollback(conn, empty, to=0)
    bare = catalog_of(conn)
    migrations.migrate(conn, empty)
    ensure_partitions(conn, empty, now=NOW)

    assert catalog_of(conn) == before
    assert any("messages_2026_11" in line for line in before)
    assert [line for line in bare if not line.startswith("schema ")] == []


def test_each_real_migration_can_be_taken_back_alone(conn: psycopg.Connection, empty: Settings):
    migrations.ensure_schemas_and_roles(conn, empty.postgres)
    catalogs = [catalog_of(conn)]
    for migration in catalog.migrations():
        migrations.migrate(conn, empty, to=migration.number)
        catalogs.append(catalog_of(conn))

    for number in range(len(catalogs) - 2, 0, -1):
        migrations.rollback(conn, empty, to=number)

        assert catalog_of(conn) == catalogs[number]


def test_an_instance_with_other_schemas_gets_the_same_catalog_under_its_names(
    conn: psycopg.Connection, empty: Settings
):
    names = {"schema_collab": "other_collab", "schema_analytics": "other_analytics", "schema_runtime": "other_runtime"}
    other = empty.model_copy(update={"postgres": empty.postgres.model_copy(update=names)})
    migrations.migrate(conn, other)
    ensure_partitions(conn, other, now=NOW)
    renamed = [re.sub(r'"?other_(\w+)"?', r"\1", line) for line in catalog_of(conn)]
    conn.execute("DROP SCHEMA other_collab, other_analytics, other_runtime CASCADE")

    migrations.migrate(conn, empty)
    ensure_partitions(conn, empty, now=NOW)

    assert sorted(renamed) == sorted(catalog_of(conn))


def test_the_command_line_migrates_reports_and_rolls_back(empty: Settings):
    def tailrace(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("tailrace"), *arguments],
            env={"TAILRACE_POSTGRES__DSN": resolve(empty).postgres, "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    labels = [migration.label for migration in catalog.migrations()]

    assert json.loads(tailrace("db", "migrate", "--dry-run", "-o", "json").stdout)["migrations"] == labels
    assert json.loads(tailrace("db", "status", "-o", "json").stdout)["current"] == 0
    assert json.loads(tailrace("db", "migrate", "-o", "json").stdout)["migrations"] == labels
    assert json.loads(tailrace("db", "status", "-o", "json").stdout)["pending"] == []
    assert tailrace("db", "rollback").returncode == 2
    assert json.loads(tailrace("db", "rollback", "--yes", "-o", "json").stdout)["migrations"] == labels[-1:]
    with connection(empty) as conn:
        conn.execute("UPDATE runtime.schema_migrations SET checksum = 'x' WHERE number = 1")
    drifted = tailrace("db", "status")
    refused = tailrace("db", "migrate")
    assert (drifted.returncode, "drifted" in drifted.stdout) == (10, True)
    assert (refused.returncode, f"{labels[0]}: the file changed" in refused.stderr) == (3, True)


def test_what_verify_takes_for_json_is_json_and_nothing_else_is(settings: Settings):
    with connection(settings) as conn:
        migrations.migrate(conn, settings)
        found = conn.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE data_type LIKE 'json%'"
        ).fetchall()
    for spec in TABLES:
        columns = {column for schema, table, column in found if (schema, table) == (spec.schema, spec.relations[0])}
        assert set(spec.json) == columns & set(spec.columns), spec.name
