"""`tailrace gen` prints JSON Lines, or whole records, and says on stderr what it left out."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from tailrace.cli.gen import register
from tailrace.errors import UsageError

FIXED = ["--start", "2026-10-20T00:00:00Z", "--events", "1500", "--poison", "24"]


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_each_line_is_an_event_and_poison_is_left_out(app: typer.Typer):
    done = CliRunner().invoke(app, FIXED)
    events = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.exit_code == 0
    assert len({event["id"] for event in events}) == 1500
    assert "24 poison records left out" in done.stderr


def test_records_have_their_key_and_even_bytes_that_are_no_text(app: typer.Typer):
    done = CliRunner().invoke(app, [*FIXED, "--records"])
    records = [json.loads(line) for line in done.stdout.splitlines()]
    poison = {record["poison"]: record for record in records if "poison" in record}

    assert base64.b64decode(poison["undecodable_bytes"]["value_base64"]).startswith(b"\xff\xfe")
    assert poison["null_key"]["key"] is None
    assert poison["null_value"]["value"] is None
    assert poison["wrong_topic"]["topic"] == "files"
    assert json.loads(records[0]["value"])["data"]["user_id"] == records[0]["key"]


def test_the_same_options_print_the_same_bytes(app: typer.Typer):
    first, second = (CliRunner().invoke(app, FIXED).stdout_bytes for _ in range(2))

    assert first == second


def test_without_a_start_the_run_ends_before_now(app: typer.Typer):
    done = CliRunner().invoke(app, ["--profile", "messages", "--events", "1500"])
    now = datetime.now(UTC)
    last = datetime.fromisoformat(json.loads(done.stdout.splitlines()[-1])["time"])

    assert now - timedelta(days=1) < last < now - timedelta(minutes=4)


def test_a_run_that_reaches_into_the_future_is_warned_of(app: typer.Typer):
    done = CliRunner().invoke(app, ["--profile", "messages", "--events", "10", "--start", "2900-01-01T00:00:00Z"])

    assert "ends in the future" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--profile", "nightly"],
        ["--workspaces", "0"],
        ["--late", "0.9"],
        ["--start", "yesterday"],
        ["--rate", "100/s"],
        ["--to", "kafka", "--rate", "fast"],
        ["--to", "kafka", "--records"],
    ],
)
def test_options_that_make_no_sense_are_refused(app: typer.Typer, options: list[str]):
    done = CliRunner().invoke(app, options)

    assert isinstance(done.exception, UsageError)
