"""`tailrace import slack` as it is called."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailrace.cli.main import app
from tailrace.errors import InvalidInputError, PartlyDoneError, UsageError


@pytest.fixture
def call():
    def invoke(*arguments: Any):
        return CliRunner().invoke(app, ["import", "slack", *map(str, arguments)])

    return invoke


def test_a_dry_run_reports_and_writes_nothing(export: Any, call: Any, tmp_path: Path):
    export.message()

    result = call(export.folder(), "--dry-run", "--to", tmp_path / "events.jsonl", "-o", "json")
    document = json.loads(result.stdout)

    assert result.exit_code == 0
    assert document["found"]["messages"] == document["events"]["collab.message.posted"] == 1
    assert document["sent"] == {"written": 0, "refused": 0, "refusals": []}
    assert not (tmp_path / "events.jsonl").exists()


def test_events_go_to_a_file_one_a_line(export: Any, call: Any, tmp_path: Path, run: Any):
    export.message()

    result = call(export.zip(), "--to", tmp_path / "events.jsonl")

    assert result.exit_code == 0
    assert (tmp_path / "events.jsonl").read_bytes() == run(export).value
    assert [path.name for path in tmp_path.glob("*.part")] == []
    assert "messages" in result.stdout


def test_events_go_to_stdout_and_the_report_to_stderr(export: Any, call: Any, run: Any):
    export.message()

    result = call(export.folder(), "--to", "-")

    assert result.stdout_bytes == run(export).value
    assert "messages  1  1" in result.stderr


def test_stdout_is_not_given_away_twice(export: Any, call: Any):
    result = call(export.folder(), "--to", "-", "-o", "json")

    assert isinstance(result.exception, UsageError)


def test_what_is_no_export_is_invalid_input(call: Any, tmp_path: Path):
    result = call(tmp_path, "--dry-run")

    assert isinstance(result.exception, InvalidInputError)
    assert result.exception.exit_code == 6
    assert result.stdout == ""


def test_a_broken_day_is_named_and_the_rest_is_done(export: Any, call: Any, tmp_path: Path):
    export.message()
    export.extra = {"general/2020-09-14.json": b"["}

    result = call(export.folder(), "--to", tmp_path / "events.jsonl", "-o", "json")

    assert isinstance(result.exception, PartlyDoneError)
    assert result.exception.exit_code == 7
    assert "general/2020-09-14.json" in result.stderr
    assert json.loads(result.stdout)["unreadable"][0]["file"] == "general/2020-09-14.json"
    assert len((tmp_path / "events.jsonl").read_bytes().splitlines()) == json.loads(result.stdout)["events_total"]


def test_an_import_that_stops_leaves_no_half_file(export: Any, call: Any, tmp_path: Path):
    for user in export.users:
        del user["team_id"]

    result = call(export.folder(), "--to", tmp_path / "events.jsonl")

    assert isinstance(result.exception, InvalidInputError)
    assert list(tmp_path.glob("events*")) == []


def test_progress_is_told_in_tenths_where_nobody_watches(export: Any, call: Any):
    for day in range(30):
        export.message(day * 86_400)

    result = call(export.folder(), "--dry-run")

    assert "import slack 50% 15/30 day files" in result.stderr
    assert result.stderr.count("day files") == 10
