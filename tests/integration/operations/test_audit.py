"""Who changed what: put down before it begins, and what came of it."""

import json
import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from tailrace.addresses import resolve
from tailrace.cli.main import app
from tailrace.errors import PreconditionError
from tailrace.operations.audit import Entry, actor, audited, entries, record
from tailrace.operations.database import connection
from tailrace.operations.jobs import jobs
from tailrace.settings import PostgresSettings, Settings


@pytest.fixture(autouse=True)
def _ana(monkeypatch: pytest.MonkeyPatch, desk_settings: Settings):
    monkeypatch.setenv("TAILRACE_ACTOR", "ana")
    # A logger keeps the stream of the first command of a process; here each command has its own.
    monkeypatch.setattr("structlog.configure", lambda **_: None)
    monkeypatch.setenv("TAILRACE_POSTGRES__DSN", resolve(desk_settings).postgres)
    with connection(desk_settings) as conn:
        conn.execute("DELETE FROM runtime.audit")


def test_a_command_is_put_down_while_it_runs_and_when_it_ends(desk_settings: Settings):
    with audited(desk_settings, "dlq redrive", "all", "index dropped") as entry:
        (seen,) = entries(desk_settings)
        assert (seen.actor, seen.command, seen.target, seen.reason, seen.outcome, seen.ended_at) == (
            "ana", "dlq redrive", "all", "index dropped", "begun", None,
        )  # fmt: skip
        entry.before, entry.after = {"open": 2}, {"sent": 2, "at": datetime(2026, 11, 20, tzinfo=UTC)}

    (done,) = entries(desk_settings)
    assert (done.id, done.outcome, done.before, done.error) == (seen.id, "done", {"open": 2}, None)
    assert done.after == {"sent": 2, "at": "2026-11-20 00:00:00+00:00"}
    assert done.ended_at is not None


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (PreconditionError("plan is stale"), "failed", "PreconditionError: plan is stale"),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt"),
        (typer.Exit(0), "done", None),
    ],
)
def test_what_fails_is_put_down_as_failed(desk_settings: Settings, error, outcome, said):
    with pytest.raises(type(error)), audited(desk_settings, "rebuild", "postgres"):
        raise error

    (seen,) = entries(desk_settings)
    assert (seen.outcome, seen.error) == (outcome, said)


def test_an_audit_log_that_cannot_be_written_stops_no_command(capsys: pytest.CaptureFixture[str]):
    nowhere = Settings(_env_file=None, postgres=PostgresSettings(dsn=SecretStr("postgresql://x@127.0.0.1:1/x")))

    with audited(nowhere, "topics apply") as entry:
        entry.after = {"created": 3}

    assert re.search(r"audit_not_written.*topics apply", capsys.readouterr().out)


def test_a_change_and_its_record_can_be_one_transaction(desk_settings: Settings):
    with connection(desk_settings) as conn:
        with conn.transaction() as undone:
            record(conn, desk_settings, Entry("ana", "repair", "messages"))
            raise psycopg.Rollback(undone)
        assert entries(desk_settings) == []

        record(conn, desk_settings, Entry("ana", "repair", "messages", after={"rows": 1}))
    assert [one.after for one in entries(desk_settings)] == [{"rows": 1}]


def test_the_log_is_asked_by_time_person_and_noun(desk_settings: Settings, monkeypatch: pytest.MonkeyPatch):
    for person, command in (("ana", "dlq redrive"), ("bo", "dlqx"), ("bo", "dlq discard")):
        monkeypatch.setenv("TAILRACE_ACTOR", person)
        assert actor() == person
        with audited(desk_settings, command):
            pass

    assert [one.command for one in entries(desk_settings, command="dlq")] == ["dlq discard", "dlq redrive"]
    assert [one.command for one in entries(desk_settings, actor="bo", limit=1)] == ["dlq discard"]
    assert entries(desk_settings, since=datetime.now(UTC) + timedelta(minutes=1)) == []


def test_jobs_are_led_from_the_command_line_and_that_is_in_the_log(desk_settings: Settings):
    run = CliRunner().invoke
    with jobs(desk_settings) as desk:
        job = desk.open_job("rebuild", "search", {"version": 2}, "ana", "new analyser")

    assert run(app, ["jobs", "pause", job.job_id, "--reason", "peak hours"]).exit_code == 0
    shown = run(app, ["jobs", "show", job.job_id])
    assert "paused" in shown.stdout
    assert "pause asked for by ana" in shown.stdout
    assert run(app, ["jobs", "follow", job.job_id]).exception.exit_code == 7  # type: ignore[union-attr]  # ours
    assert run(app, ["jobs", "resume", job.job_id]).exit_code == 0
    assert run(app, ["jobs", "cancel", job.job_id, "-o", "json"]).exit_code == 0
    assert "cancelled" in run(app, ["jobs", "ls"]).stdout
    assert run(app, ["jobs", "cancel", job.job_id]).exception.exit_code == 3  # type: ignore[union-attr]  # ours

    log = json.loads(run(app, ["audit", "ls", "--command", "jobs", "-o", "json"]).stdout)["audit"]
    assert [(one["command"], one["outcome"], one["reason"]) for one in log] == [
        ("jobs cancel", "failed", ""),
        ("jobs cancel", "done", ""),
        ("jobs resume", "done", ""),
        ("jobs pause", "done", "peak hours"),
    ]
    assert log[-1]["before"] == {"state": "waiting"}
    assert "peak hours" in run(app, ["audit", "ls", "--since", "1h"]).stdout


def audit_of(settings: Settings, command: str) -> list[tuple[str, str, str]]:
    return [(one.target, one.outcome, one.reason) for one in entries(settings, command=command)]


def test_commands_that_change_something_are_in_the_log_and_those_that_do_not_are_not(
    desk_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    run = CliRunner().invoke
    for nowhere in ("ELASTICSEARCH__URL=http://127.0.0.1:1", "REDIS__URL=redis://127.0.0.1:1/0"):
        monkeypatch.setenv(*f"TAILRACE_{nowhere}".split("=", 1))  # type: ignore[arg-type]  # a name and a value
    monkeypatch.setenv("TAILRACE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("TAILRACE_KAFKA__REQUEST_TIMEOUT_MS", "1000")

    for _ in range(2):  # the second finds nothing to do
        assert run(app, ["db", "migrate"]).exit_code == 0
    assert run(app, ["partitions", "ensure", "--ahead", "6"]).exit_code == 0
    assert run(app, ["partitions", "ensure", "--ahead", "6"]).exit_code == 0
    assert run(app, ["dlq", "discard", "--all", "--reason", "none"]).exit_code == 0
    retired = run(app, ["partitions", "retire", "--before", "2000-01", "--reason", "old"])
    assert retired.exit_code == 0
    made, migrated = entries(desk_settings)
    assert (made.command, made.outcome, migrated.command) == ("partitions ensure", "done", "db migrate")
    assert len(made.after["made"]) > 2

    for arguments in (["indices", "switch", "messages", "--reason", "new analyser"], ["caches", "rebuild"]):
        assert run(app, arguments).exit_code != 0
    assert run(app, ["topics", "apply"]).exit_code != 0
    assert audit_of(desk_settings, "indices") == [("messages", "failed", "new analyser")]
    assert audit_of(desk_settings, "caches") == [("everything", "failed", "")]
    assert audit_of(desk_settings, "topics") == [("collab.", "failed", "")]
