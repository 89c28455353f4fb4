import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import stamina
from psycopg import sql

from tailrace.addresses import resolve
from tailrace.errors import InvalidInputError, NotFoundError, PreconditionError
from tailrace.months import keeper as partitions
from tailrace.months import removal as partition_removal
from tailrace.months.keeper import (
    ensure_months,
    ensure_partitions,
    ensure_table_months,
    known_months,
    list_partitions,
)
from tailrace.operations import migrations
from tailrace.operations.database import connection
from tailrace.settings import Settings
from tailrace.sql.catalog import schema_names

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAIN = schema_names(Settings(_env_file=None).postgres)
MESSAGES = "collab.messages"


@pytest.fixture(scope="module")
def migrated(settings_for: Callable[[str], Settings]) -> Settings:
    """A migrated database for the whole module; each test takes a table or months of its own."""
    settings = settings_for("partitions")
    with connection(settings) as conn:
        migrations.migrate(conn, settings)
    return settings


@pytest.fixture
def conn(migrated: Settings) -> Iterator[psycopg.Connection]:
    with connection(migrated) as opened:
        yield opened


@pytest.fixture
async def worker(migrated: Settings) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(resolve(migrated).postgres)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def _no_partitions(migrated: Settings) -> None:
    """Every test begins with tables that have no months."""
    with connection(migrated) as conn:
        for partition in list_partitions(conn, migrated):
            if partition.table != "collab.files":
                conn.execute(f"DROP TABLE {partition.partition}")


def post(conn: psycopg.Connection, *created_at: str) -> None:
    for moment in created_at:
        conn.execute(
            "INSERT INTO collab.messages (message_id, created_at, workspace_id, channel_id, user_id, content,"
            " message_type, updated_at, posted_at, posted_length, posted_sequence, posted_event)"
            " VALUES (%(id)s, %(at)s, %(id)s, %(id)s, %(id)s, 'hello', 'text', %(at)s, %(at)s, 5, 0, %(id)s)",
            {"id": uuid.uuid4(), "at": moment},
        )


def count(conn: psycopg.Connection, table: str) -> int:
    row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".")))).fetchone()
    return int(row[0]) if row else 0


def months(conn: psycopg.Connection, table: str = MESSAGES) -> list[str]:
    rows = conn.execute("SELECT known::text FROM runtime.known_months(%s::text::regclass) AS known ORDER BY 1", [table])
    return [row[0].removesuffix("-01") for row in rows]


def test_the_months_around_now_are_made_in_utc_and_only_once(conn: psycopg.Connection, migrated: Settings):
    late_november_in_brazil = datetime(2026, 11, 30, 23, 30, tzinfo=timezone(timedelta(hours=-3)))

    made = ensure_partitions(conn, migrated, now=late_november_in_brazil)

    assert made == [
        f"{table}_{month}"
        for table in (MESSAGES, "analytics.events")
        for month in ("2026_11", "2026_12", "2027_01", "2027_02", "2027_03")
    ]
    assert months(conn) == ["2026-11", "2026-12", "2027-01", "2027-02", "2027-03"]
    assert ensure_partitions(conn, migrated, now=late_november_in_brazil) == []


def test_more_months_and_the_archive_are_made_when_asked_for(conn: psycopg.Connection, migrated: Settings):
    made = ensure_partitions(
        conn,
        migrated,
        now=NOW,
        ahead=0,
        extra_months=[date(2003, 5, 31), date(2003, 5, 1)],
        tables=["collab.messages_archive"],
    )

    assert [name.rpartition("archive_")[2] for name in made] == ["2003_05", "2026_10", "2026_11"]


def test_bounds_do_not_depend_on_the_session(conn: psycopg.Connection):
    conn.execute("SET timezone = 'Pacific/Kiritimati'; SET datestyle = 'German'")

    ensure_table_months(conn, PLAIN, MESSAGES, [date(2026, 11, 1)])
    post(conn, "2026-11-01T00:00:00Z", "2026-11-30T23:59:59.999999Z")

    with pytest.raises(psycopg.errors.CheckViolation):
        post(conn, "2026-12-01T00:00:00Z")
    assert months(conn) == [date(2026, 11, 1).strftime("01.%m.%Y")]


@pytest.mark.parametrize(("month", "first", "last"), [
    (date(2000, 1, 9), "2000-01-01T00:00:00Z", "2000-01-31T23:59:59Z"),
    (date(2003, 2, 9), "2003-02-01T00:00:00Z", "2003-02-28T23:59:59Z"),
    (date(2024, 2, 9), "2024-02-29T00:00:00Z", "2024-02-29T23:59:59Z"),
    (date(9999, 12, 31), "9999-12-01T00:00:00Z", "9999-12-31T23:59:59Z"),
])  # fmt: skip
def test_months_from_2000_to_9999_take_their_rows(conn: psycopg.Connection, month: date, first: str, last: str):
    (made,) = ensure_table_months(conn, PLAIN, MESSAGES, [month])
    post(conn, first, last)

    assert count(conn, made) == 2


def test_a_partition_has_the_table_s_indexes_defaults_and_room_for_updates(conn: psycopg.Connection):
    (made,) = ensure_table_months(conn, PLAIN, MESSAGES, [date(2026, 11, 1)])

    def shape(table: str) -> list[Any]:
        return conn.execute(
            "SELECT replace(replace(pg_get_indexdef(indexrelid), %(name)s, ''), ' ONLY', '') AS definition,"
            " indisprimary, indisvalid FROM pg_index WHERE indrelid = %(table)s::text::regclass ORDER BY indexrelid",
            {"table": table, "name": table},
        ).fetchall()

    definitions = [definition.partition(" USING ")[2] for definition, _, _ in shape(made)]
    assert definitions == [definition.partition(" USING ")[2] for definition, _, _ in shape(MESSAGES)]
    assert all(valid for _, _, valid in shape(made) + shape(MESSAGES))
    assert conn.execute("SELECT reloptions FROM pg_class WHERE oid = %s::text::regclass", [made]).fetchone() == (
        ["fillfactor=75"],
    )
    post(conn, "2026-11-01T00:00:00Z")
    assert conn.execute("SELECT reactions, edit_count FROM collab.messages").fetchone() == ({}, 0)


def test_open_readers_and_writers_neither_wait_nor_are_waited_for(
    conn: psycopg.Connection, migrated: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(partitions, "LOCK_ATTEMPTS_MAX", 1)
    ensure_table_months(conn, PLAIN, MESSAGES, [date(2026, 11, 1)])
    dsn = resolve(migrated).postgres
    with psycopg.connect(dsn) as reader, psycopg.connect(dsn) as writer, psycopg.connect(dsn) as keeper:
        reader.execute("SELECT count(*) FROM collab.messages")
        post(writer, "2026-11-02T00:00:00Z")

        assert ensure_table_months(conn, PLAIN, MESSAGES, [date(2026, 12, 1)]) == ["collab.messages_2026_12"]

        keeper.execute("SELECT runtime.ensure_month('collab.messages', '2027-01-01')")
        for session, visible in ((reader, 0), (writer, 1)):
            session.execute("SET LOCAL lock_timeout = '100ms'")
            assert count(session, MESSAGES) == visible
            post(session, "2026-12-02T00:00:00Z")
        writer.commit()
        assert count(conn, MESSAGES) == 2


def test_keepers_at_once_make_each_month_once(migrated: Settings):
    wanted = [date(2026, month, 1) for month in range(1, 9)]

    def keep(number: int) -> list[str]:
        with connection(migrated) as own:
            return ensure_table_months(own, PLAIN, MESSAGES, wanted[number:] + wanted[:number])

    with ThreadPoolExecutor(4) as pool:
        made = [name for names in pool.map(keep, range(4)) for name in names]

    assert sorted(made) == [f"collab.messages_2026_{month.month:02d}" for month in wanted]


async def test_workers_at_once_make_each_month_once(migrated: Settings):
    wanted = [date(2003, month, 1) for month in range(1, 7)]

    async def work() -> list[str]:
        own = await asyncpg.connect(resolve(migrated).postgres, statement_cache_size=0)
        try:
            return await ensure_months(own, PLAIN, MESSAGES, wanted)
        finally:
            await own.close()

    made = [name for names in await asyncio.gather(*(work() for _ in range(4))) for name in names]

    assert sorted(made) == [f"collab.messages_2003_{month.month:02d}" for month in wanted]


async def test_a_worker_learns_what_is_there_and_makes_what_is_not(conn: psycopg.Connection, worker: Any):
    ensure_table_months(conn, PLAIN, "analytics.events", [date(2026, 11, 1)])

    assert await known_months(worker, PLAIN) == {
        MESSAGES: set(),
        "analytics.events": {date(2026, 11, 1)},
        "collab.messages_archive": set(),
    }
    assert await ensure_months(worker, PLAIN, MESSAGES, {date(2003, 5, 17), date(9999, 12, 1)}) == [
        "collab.messages_2003_05",
        "collab.messages_9999_12",
    ]
    assert (await known_months(worker, PLAIN))[MESSAGES] == {date(2003, 5, 1), date(9999, 12, 1)}


async def test_a_month_is_made_with_the_rights_of_the_worker_and_not_of_the_analyst(
    conn: psycopg.Connection, worker: Any
):
    await worker.execute("SET ROLE tailrace_worker")
    assert await ensure_months(worker, PLAIN, MESSAGES, [date(2026, 11, 1)]) == ["collab.messages_2026_11"]
    assert (await known_months(worker, PLAIN))[MESSAGES] == {date(2026, 11, 1)}

    await worker.execute("SET ROLE tailrace_analyst")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ensure_months(worker, PLAIN, MESSAGES, [date(2026, 12, 1)])
    assert months(conn) == ["2026-11"]


async def test_what_is_no_month_of_a_monthly_table_is_refused(conn: psycopg.Connection, worker: Any):
    with pytest.raises(NotFoundError, match=r"collab\.files has no monthly partitions"):
        await ensure_months(worker, PLAIN, "collab.files", [date(2026, 11, 1)])
    with pytest.raises(InvalidInputError, match="1999-12 lies before 2000-01"):
        ensure_table_months(conn, PLAIN, MESSAGES, [date(1999, 12, 31)])
    with pytest.raises(psycopg.errors.DatetimeFieldOverflow):
        conn.execute("SELECT runtime.ensure_month('collab.messages', '10000-01-01')")
    with pytest.raises(psycopg.errors.WrongObjectType, match=r"collab\.files is not partitioned by months"):
        conn.execute("SELECT runtime.ensure_month('collab.files', '2026-11-01')")


async def test_a_transaction_that_is_open_is_refused(conn: psycopg.Connection, worker: Any):
    with conn.transaction(), pytest.raises(PreconditionError, match="transactions of their own"):
        ensure_table_months(conn, PLAIN, MESSAGES, [date(2026, 11, 1)])
    async with worker.transaction():
        with pytest.raises(PreconditionError, match="transactions of their own"):
            await ensure_months(worker, PLAIN, MESSAGES, [date(2026, 11, 1)])


def test_a_default_partition_is_refused_loudly(conn: psycopg.Connection, migrated: Settings):
    conn.execute("CREATE TABLE collab.messages_rest PARTITION OF collab.messages DEFAULT")
    try:
        with pytest.raises(PreconditionError, match=r"has a DEFAULT partition: collab\.messages_rest") as refusal:
            ensure_partitions(conn, migrated, now=NOW)
    finally:
        conn.execute("DROP TABLE collab.messages_rest")

    assert "drop it" in str(refusal.value.fix)


def test_a_detached_table_of_the_month_s_name_is_refused(conn: psycopg.Connection):
    conn.execute("CREATE TABLE collab.messages_2026_11 ()")

    with pytest.raises(PreconditionError, match=r"collab\.messages_2026_11 exists but takes no rows"):
        ensure_table_months(conn, PLAIN, MESSAGES, [date(2026, 11, 1)])


def test_wider_partitions_made_by_hand_count_for_the_months_they_hold_whole(conn: psycopg.Connection):
    conn.execute(
        "CREATE TABLE collab.messages_2003_00 PARTITION OF collab.messages"
        " FOR VALUES FROM ('2003-01-15 00:00+00') TO ('2003-04-01 00:00+00')"
    )

    assert ensure_table_months(conn, PLAIN, MESSAGES, [date(2003, 2, 1), date(2003, 3, 1)]) == []
    with pytest.raises(PreconditionError, match="would overlap"):
        ensure_table_months(conn, PLAIN, MESSAGES, [date(2003, 1, 1)])
    assert months(conn) == ["2003-02", "2003-03"]


def test_a_partition_without_an_end_holds_every_month_from_2000(conn: psycopg.Connection):
    conn.execute(
        "CREATE TABLE collab.messages_0000_00 PARTITION OF collab.messages FOR VALUES FROM (MINVALUE) TO ('2000-03-10')"
    )

    assert months(conn) == ["2000-01", "2000-02"]


def test_a_locked_table_is_tried_again(conn: psycopg.Connection, migrated: Settings):
    with psycopg.connect(resolve(migrated).postgres) as holder:
        holder.execute("LOCK TABLE collab.messages IN SHARE UPDATE EXCLUSIVE MODE")
        stamina.instrumentation.set_on_retry_hooks([lambda _: holder.rollback()])
        try:
            made = ensure_table_months(conn, PLAIN, MESSAGES, [date(2026, 11, 1)])
        finally:
            stamina.instrumentation.set_on_retry_hooks(None)

    assert made == ["collab.messages_2026_11"]


async def test_a_table_that_stays_locked_is_given_up(worker: Any, migrated: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(partitions, "LOCK_ATTEMPTS_MAX", 1)
    with psycopg.connect(resolve(migrated).postgres) as holder:
        holder.execute("LOCK TABLE collab.messages IN SHARE UPDATE EXCLUSIVE MODE")

        with pytest.raises(PreconditionError, match="others kept the table locked"):
            await ensure_months(worker, PLAIN, MESSAGES, [date(2026, 11, 1)])


async def test_a_database_without_the_schema_is_told_to_migrate(settings: Settings):
    nowhere = {name: f"no_{name}" for name in PLAIN}
    with connection(settings) as conn, pytest.raises(PreconditionError) as refusal:
        ensure_table_months(conn, nowhere, MESSAGES, [date(2026, 11, 1)])

    assert refusal.value.fix == "tailrace db migrate"


def test_the_list_shows_bounds_sizes_and_what_hangs_nowhere(conn: psycopg.Connection, migrated: Settings):
    ensure_table_months(conn, PLAIN, MESSAGES, [date(9999, 12, 1)])
    post(conn, "9999-12-24T18:00:00Z")
    conn.execute("ANALYZE collab.messages_9999_12; CREATE TABLE collab.messages_2003_05 ()")

    listed = {one.partition: one for one in list_partitions(conn, migrated)}

    last = listed["collab.messages_9999_12"]
    assert (last.table, last.from_at, last.to_at) == (MESSAGES, "9999-12-01T00:00:00Z", "10000-01-01T00:00:00Z")
    assert (last.rows_estimate, last.indexes, last.attached, last.bounds) == (1, 6, True, None)
    assert last.bytes > 8192
    assert listed["collab.messages_2003_05"].state == "detached"
    assert listed["collab.files_shard_15"].bounds == "FOR VALUES WITH (modulus 16, remainder 15)"


def test_a_retired_month_is_kept_aside_and_can_be_made_again(migrated: Settings):
    with connection(migrated, session_lock_timeout_ms=2_000) as conn:
        ensure_table_months(conn, PLAIN, MESSAGES, [date(2003, 5, 1), date(2003, 6, 1)])
        post(conn, "2003-05-05T00:00:00Z", "2003-06-06T00:00:00Z")

        doomed = partition_removal.months_before(conn, migrated, table=MESSAGES, before=date(2003, 6, 17))
        kept = partition_removal.retire(conn, migrated, table=MESSAGES, partition=doomed[0], now=NOW)

        assert (doomed, kept) == (["messages_2003_05"], "messages_2003_05_retired_20261121t120000")
        assert count(conn, MESSAGES) == 1
        assert count(conn, f"collab.{kept}") == 1
        assert ensure_table_months(conn, PLAIN, MESSAGES, [date(2003, 5, 1)]) == ["collab.messages_2003_05"]
        assert (
            partition_removal.retire(conn, migrated, table=MESSAGES, partition="messages_2003_05", now=NOW, drop=True)
            == "dropped"
        )
        assert months(conn) == ["2003-06"]


async def test_a_removal_that_readers_held_up_is_finished_later(
    migrated: Settings, worker: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(partition_removal, "DETACH_ATTEMPTS_MAX", 1)
    with (
        connection(migrated, session_lock_timeout_ms=100) as conn,
        psycopg.connect(resolve(migrated).postgres) as reader,
    ):
        ensure_table_months(conn, PLAIN, MESSAGES, [date(2003, 5, 1), date(2003, 6, 1)])
        reader.execute("SELECT FROM collab.messages")

        def retire() -> str:
            return partition_removal.retire(conn, migrated, table=MESSAGES, partition="messages_2003_05", now=NOW)

        with pytest.raises(PreconditionError, match="locked in every attempt"):
            retire()
        states = {one.partition: one.state for one in list_partitions(conn, migrated)}
        assert states["collab.messages_2003_05"] == "detaching"
        assert (await known_months(worker, PLAIN))[MESSAGES] == {date(2003, 6, 1)}
        with pytest.raises(PreconditionError, match="exists but takes no rows"):
            ensure_table_months(conn, PLAIN, MESSAGES, [date(2003, 5, 1)])

        reader.rollback()

        unfinished = partition_removal.months_before(conn, migrated, table=MESSAGES, before=date(2020, 1, 1))
        assert unfinished == ["messages_2003_05", "messages_2003_06"]
        assert retire().startswith("messages_2003_05_retired_")


def test_a_table_that_was_detached_and_not_renamed_is_finished_too(migrated: Settings):
    with connection(migrated, session_lock_timeout_ms=2_000) as conn:
        ensure_table_months(conn, PLAIN, MESSAGES, [date(2003, 5, 1)])
        conn.execute("ALTER TABLE collab.messages DETACH PARTITION collab.messages_2003_05")

        (found,) = partition_removal.months_before(conn, migrated, table=MESSAGES, before=date(2003, 6, 1))
        assert (
            partition_removal.retire(conn, migrated, table=MESSAGES, partition=found, now=NOW, drop=True) == "dropped"
        )


def test_retiring_without_a_bound_on_waiting_is_refused(conn: psycopg.Connection, migrated: Settings):
    with pytest.raises(PreconditionError, match="lock_timeout"):
        partition_removal.retire(conn, migrated, table=MESSAGES, partition="messages_2003_05", now=NOW)


def test_the_command_line_ensures_lists_and_retires(migrated: Settings):
    def tailrace(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("tailrace"), "partitions", *arguments],
            env={"TAILRACE_POSTGRES__DSN": resolve(migrated).postgres, "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    made = json.loads(tailrace("ensure", "--ahead", "0", "--month", "2003-05", "-o", "json").stdout)["made"]
    listed = json.loads(tailrace("ls", "-o", "json").stdout)["partitions"]
    unconfirmed = tailrace("retire", "--before", "2004-01")
    retired = json.loads(tailrace("retire", "--before", "2004-01", "--drop", "--yes", "-o", "json").stdout)["retired"]

    assert made[0] == "collab.messages_2003_05"
    assert [one["partition"] for one in listed if one["from_at"] and one["attached"]] == sorted(
        made, key=lambda name: (name.rpartition("_20")[0], name)
    )
    assert (unconfirmed.returncode, "messages_2003_05" in unconfirmed.stderr) == (2, True)
    assert retired == {"messages_2003_05": "dropped"}
    assert tailrace("ensure", "--month", "May").returncode == 2
