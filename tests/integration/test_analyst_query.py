"""`tailrace query`, `report` and `sql` on a small company's November."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contract_events import Given, id_of, in_world
from psycopg.conninfo import conninfo_to_dict
from read_models import ReadModels, log_of

from tailrace.addresses import resolve
from tailrace.analysis.access import AsOf, snapshot
from tailrace.analysis.parameters import resolve_channel, resolve_workspace
from tailrace.analysis.report import write_report
from tailrace.analysis.running import run
from tailrace.analysis.saved import parse, saved_queries
from tailrace.analysis.waiting import wait_for
from tailrace.errors import InvalidInputError, NotFoundError, PartlyDoneError, PreconditionError, UsageError
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
async def company(settings_for: Callable[[str], Settings]) -> Settings:
    """Two weeks of November in Acme (w1), and Acme (w2), which has gone."""
    settings = settings_for("analyst_query")
    with connection(settings) as conn:
        migrate(conn, settings)
    given = Given()
    events = [
        given.workspace("w1", name="Acme", slug="acme", settings={"timezone": "Europe/Lisbon"}),
        given.workspace("w2", name="Acme", slug="old-acme"), given.workspace_deleted("w2"),
        given.workspace("w3", name="Globex", slug="globex"), given.workspace("w4", name="globex", slug="globex-2"),
        given.channel("c1", name="town"), given.channel("c2", name="secret", channel_type="private"),
        given.joined("ana"), given.joined("bo"),
    ]  # fmt: skip
    for day in range(1, 15):
        posted = given.posted(f"m{day}", time=f"2026-11-{day:02} 10:00")
        answer = given.posted(f"r{day}", time=f"2026-11-{day:02} 10:10", user_id="bo", thread_id=f"m{day}")
        events += [posted, answer, given.reacted("👍", f"m{day}", "bo", time=f"2026-11-{day:02} 10:05")]
    await ReadModels(settings).apply([log_of([in_world(event) for event in events], settings)])
    return settings


@pytest.fixture
def tailrace(company: Settings, tmp_path: Path) -> Command:
    """The command line in a process of its own, in an empty folder."""

    def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith(("TAILRACE_", "DATABASE_"))}
        known |= {"DATABASE_URL": resolve(company).postgres, "NO_COLOR": "1", "COLUMNS": "160"}
        known |= {"TAILRACE_KAFKA__TOPIC_PREFIX": company.kafka.topic_prefix} | environment
        program = "from tailrace.cli.main import run; run()"
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env=known, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return command


@pytest.mark.parametrize("query", saved_queries(), ids=lambda query: query.name)
def test_every_saved_query_runs_and_draws_columns_it_has(query: Any, company: Settings):
    kinds = {"workspace": "acme", "channel": "town"}
    given = {one.name: kinds[one.type] for one in query.parameters if one.type in kinds}
    given |= {one.name: "2026-11-01" for one in query.parameters if one.name == "since"}

    with snapshot(company) as opened:
        result = run(opened, query, given, rows_max=500)

    plot = query.plot
    for column in (plot.x, *plot.y, *filter(None, [plot.value])) if plot else ():
        assert len(result.values(column)) == len(result.rows)
    quiet = {"quiet_channels", "reconcile", "dead_letters", "time_spent", "retention", "late_data"}
    assert bool(result.rows) is (query.name not in quiet) or query.name in {"retention", "late_data"}


def test_the_command_prints_rows_on_stdout_and_how_far_they_go_on_stderr(tailrace: Command):
    done = tailrace("query", "run", "top_channels", "-p", "workspace=acme", "-p", "since=2026-11-01", "-f", "csv")

    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.returncode == 0
    assert [(row["channel"], row["messages"]) for row in rows] == [("#town", "28")]
    assert done.stderr.startswith("1 row · data to 2026-11-21 00:00:00 UTC")


def test_json_is_one_document_with_as_of(tailrace: Command):
    done = tailrace("query", "run", "workspaces", "-o", "json")

    found = json.loads(done.stdout)
    assert [row[1] for row in found["rows"]] == ["acme", "globex", "globex-2"]
    assert (found["row_count"], found["truncated"]) == (3, False)
    assert found["as_of"]["projections"]["postgres"]["data_to"].startswith("2026-11-21T00:00:00")
    assert found["as_of"]["replica_lag_s"] is None


def test_an_export_that_was_cut_says_so_and_ends_with_7(tailrace: Command, tmp_path: Path):
    done = tailrace("query", "run", "columns", "--max-rows", "10", "--to", "columns.parquet")

    assert done.returncode == 7
    assert "10 rows (cut: there are more)" in done.stderr
    assert (tmp_path / "columns.parquet").exists()


def test_a_table_that_was_cut_only_says_so(tailrace: Command):
    done = tailrace("query", "run", "columns", "--max-rows", "3")

    assert done.returncode == 0
    assert "3 rows (cut: there are more)" in done.stderr


def test_a_picture_is_written_and_one_is_drawn_in_the_terminal(tailrace: Command, tmp_path: Path):
    given = ("query", "run", "daily_activity", "-p", "workspace=acme", "-p", "since=2026-11-01", "--plot")

    assert tailrace(*given, "x.svg").returncode == 0
    assert "┤" in tailrace(*given, "term").stdout
    assert (tmp_path / "x.svg").read_text().count("<svg") == 1


def test_what_is_wrong_is_said_with_an_exit_code(tailrace: Command):
    assert tailrace("query", "run", "no_such_query").returncode == 4
    assert tailrace("query", "run", "dau_trend", "-p", "workspace=nobody").returncode == 4
    assert tailrace("query", "run", "dau_trend", "-p", "since=soon", "-p", "workspace=acme").returncode == 6
    assert tailrace("query", "run", "dau_trend", "-p", "until=2026-11-01").returncode == 2
    assert tailrace("query", "run", "columns", "--plot", "term").returncode == 2


def test_listing_and_showing_need_no_server(tailrace: Command):
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

    assert "dau_trend" in tailrace("query", "ls", **nowhere).stdout
    assert "SELECT day_utc, dau, dau_28" in tailrace("query", "show", "dau_trend", **nowhere).stdout
    assert tailrace("query", "run", "freshness", **nowhere).returncode == 5


@pytest.mark.parametrize(
    ("text", "name"),
    [("acme", "w1"), ("ACME", "w1"), (id_of("w2"), "w2"), ("old-acme", "w2"), (id_of("zz"), "zz"), ("globex", "w3")],
)
def test_a_workspace_is_found_by_id_slug_and_name(text: str, name: str, company: Settings):
    with snapshot(company) as opened:
        assert str(resolve_workspace(opened.conn, opened.analytics, text)) == id_of(name)


def test_a_workspace_that_could_be_several_is_asked_for(company: Settings):
    with snapshot(company) as opened:
        with pytest.raises(UsageError, match=r"which workspace\? acme"):
            resolve_workspace(opened.conn, opened.analytics, None)
        with pytest.raises(NotFoundError):
            resolve_workspace(opened.conn, opened.analytics, "initech")
        assert str(resolve_channel(opened.conn, opened.analytics, "#Town", None)) == id_of("c1")
        with pytest.raises(NotFoundError):  # a private channel's name says nothing
            resolve_channel(opened.conn, opened.analytics, "secret", None)


def test_values_cannot_leave_their_place(company: Settings):
    query = parse("q", "-- param: t text\nSELECT :t AS t")
    with snapshot(company) as opened:
        result = run(opened, query, {"t": "'; DROP TABLE x; --"}, rows_max=1)

    assert result.rows == (("'; DROP TABLE x; --",),)


def test_a_query_that_writes_is_refused(company: Settings):
    query = parse("q", "WITH gone AS (DELETE FROM analytics.events RETURNING 1) SELECT * FROM gone")
    with pytest.raises((InvalidInputError, PreconditionError)), snapshot(company) as opened:
        run(opened, query, {}, rows_max=1)


def test_it_waits_for_a_record_and_gives_up_in_time(company: Settings):
    topic = company.topic("conversations")
    with connection(company) as conn:
        (partition, reached) = conn.execute(
            "SELECT partition, next_offset FROM runtime.progress WHERE topic = %s LIMIT 1", [topic]
        ).fetchone() or (0, 0)
    wait_for(company, [f"conversations/{partition}@{reached - 1}"], timeout_s=0)

    with pytest.raises(PartlyDoneError, match=f"{topic}/{partition}@{reached}"):
        wait_for(company, [f"{topic}/{partition}@{reached}"], timeout_s=0.3)
    with pytest.raises(UsageError):
        wait_for(company, ["dead-letters/0@1"], timeout_s=1)


def test_the_report_is_one_file_with_the_months_numbers(company: Settings, tmp_path: Path):
    written = write_report(company, "acme", "2026-11", tmp_path / "november.html")

    page = written.path.read_text(encoding="utf-8")
    assert "<h1>Acme · November 2026</h1>" in page
    assert "<b>28</b><span>messages</span>" in page
    assert "<b>10 min</b><span>median answer time</span>" in page
    assert "Days of Europe/Lisbon" in page
    assert page.count("<svg role=") == 7
    assert "<script" not in page
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_a_month_without_anything_is_a_page_that_says_so(company: Settings, tmp_path: Path):
    page = write_report(company, "acme", "2020-02", tmp_path / "x.html").path.read_text(encoding="utf-8")

    assert page.count("Nothing in this month.") == 7


@pytest.mark.parametrize("month", ["2026-13", "November", "1999-12", "2026-1"])
def test_a_month_is_a_year_and_a_number(month: str, company: Settings, tmp_path: Path):
    with pytest.raises(InvalidInputError):
        write_report(company, "acme", month, tmp_path / "x.html")


def test_sql_opens_a_session_that_reads_and_nothing_else(tailrace: Command, company: Settings):
    login = f"test_{os.getpid()}_login"
    try:
        dsn = tailrace("sql", "--print-dsn", "--login", login, "--timeout", "7").stdout.strip()
        with psycopg.connect(dsn, autocommit=True) as conn:
            names = (
                "default_transaction_read_only",
                "statement_timeout",
                "timezone",
                "is_superuser",
                "session_authorization",
            )
            found = {
                name: (conn.execute("SELECT current_setting(%s)", [name]).fetchone() or ("",))[0] for name in names
            }
            assert found == dict(zip(names, ("on", "7s", "UTC", "off", login), strict=True))
            assert conn.execute("SELECT count(*) FROM messages").fetchone() == (28,)  # the search path finds the views
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("SELECT * FROM collab.users")
            limit = conn.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [login]).fetchone()
            assert limit == (10,)
    finally:
        with connection(company) as conn:
            conn.execute(f"DROP OWNED BY {login}; DROP ROLE {login}".encode())


def test_sql_hands_its_arguments_to_psql(tailrace: Command, company: Settings):
    done = tailrace(
        "sql",
        "--client",
        "psql",
        "--",
        "-XAtc",
        "SELECT current_user, count(*) FROM daily_activity",
        DATABASE_URL_RO=resolve(company).postgres,
    )

    assert done.stdout == "tailrace_analyst|14\n"
    assert "rows are not capped here" in done.stderr


def test_sql_leaves_accounts_alone_that_may_do_more(tailrace: Command, company: Settings):
    owner = conninfo_to_dict(resolve(company).postgres)["user"]

    assert tailrace("sql", "--print-dsn", "--login", str(owner)).returncode == 3


@pytest.mark.parametrize(("lag", "stale"), [(None, False), (0.0, False), (60.0, False), (60.1, True), (-1.0, True)])
def test_a_replica_is_stale_after_a_minute_or_when_it_cannot_tell(lag: float | None, stale: bool):  # noqa: FBT001 - a fact
    as_of = AsOf(datetime(2026, 11, 21, tzinfo=UTC), lag, {})

    assert as_of.stale is stale
    assert ("STALE" in as_of.sentence()) is stale
