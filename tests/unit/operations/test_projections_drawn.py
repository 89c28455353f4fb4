"""What `status`, `lag` and `status --watch` draw."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from tailrace.cli.projections import duration, footer, row_of
from tailrace.cli.status import drawn
from tailrace.operations.controls import Control, WorkerReport
from tailrace.operations.overview import LastError, ProjectionStatus
from tailrace.operations.positions import PartitionPosition, ProjectionPosition
from tailrace.operations.waiting import Waiting, event_time_of

NOW = datetime(2026, 11, 20, 12, 4, 31, tzinfo=UTC)


def partition(lag: int | None = 0, number: int = 0) -> PartitionPosition:
    at = None if lag is None else NOW - timedelta(hours=2)
    position = None if lag is None else 100 - lag
    return PartitionPosition("collab.activity", number, 0, 100, position, "vm:1", at, at, at, None, None)


def worker(**changes: object) -> WorkerReport:
    report = WorkerReport("search", 1, "vm:1", NOW, NOW, "running", 0, 1, 5_000, 1_830.0, None, None, is_silent=False)
    return replace(report, **changes)  # type: ignore[arg-type]  # fields of a report


def status(*partitions: PartitionPosition, **changes: object) -> ProjectionStatus:
    position = ProjectionPosition("search", 1, partitions or (partition(),), 1, 2)
    return replace(ProjectionStatus(position, None, (worker(),), {}, None, NOW), **changes)  # type: ignore[arg-type]  # as above


def waiting(seconds: float, number: int = 0, *, events: float | None = 90) -> dict[tuple[str, int], Waiting]:
    happened = None if events is None else NOW - timedelta(seconds=events)
    return {("collab.activity", number): Waiting(52, NOW - timedelta(seconds=seconds), happened)}


WHOLE = ProjectionPosition("search", 1, (partition(),), 0, 0)
AS_OF = "data as of 2026-11-20T12:04:31Z"
PAUSED = Control("paused", "reindex", "ana", NOW)


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (status(), "current"),
        (status(workers=()), "current"),
        (status(partition(None)), "new"),
        (status(partition(48), waiting=waiting(0.4)), "behind"),
        (status(partition(48), waiting=waiting(31.7)), "slow"),
        (status(partition(48), workers=(worker(is_silent=True),)), "down"),
        (status(partition(48), control=PAUSED), "paused"),
        (status(partition(48), control=replace(PAUSED, state="drained")), "drained"),
        (status(partition(48), control=replace(PAUSED, state="running"), waiting=waiting(1)), "behind"),
        (status(replace(partition(48), halted_code="H_RETENTION"), control=PAUSED), "halted"),
    ],
)
def test_the_state_says_what_an_operator_would_do_next(one: ProjectionStatus, state: str):
    assert one.state == state


def test_one_line_says_it_all():
    assert row_of(status(partition(48), waiting=waiting(31.7))) == [
        "search", "◐ slow", "1/1", 48, "31.7s", "1m30s", "1,830", 1, 2, "2026-11-20T10:04:31Z", None,
    ]  # fmt: skip


def test_what_is_not_known_is_never_0():
    unknown = row_of(status(partition(None), partition(3, 1), workers=()))

    assert unknown[1:7] == ["✗ down", "–/2", None, None, None, None]
    silent = row_of(status(partition(3), workers=(worker(is_silent=True),), waiting=waiting(5, events=None)))
    assert silent[2:7] == ["0/1", 3, "5.0s", None, None]


def test_a_record_that_could_not_be_read_in_time_is_as_old_as_what_was_applied_last():
    assert status(partition(3)).behind_s == 7_200
    assert status(partition(3), partition(4, 1), waiting=waiting(5)).behind_s == 7_200
    assert status(partition(0), partition(4, 1), waiting=waiting(5, 1)).behind_s == 5


def test_who_paused_it_and_why_stands_where_the_error_would():
    assert row_of(status(control=PAUSED))[-1] == 'paused by ana: "reindex"'


def test_the_last_error_has_its_code_its_cause_and_its_time():
    error = LastError("dead letter", "E_SCHEMA", "data.content: missing", NOW - timedelta(minutes=3))

    assert row_of(status(last_error=error))[-1] == "E_SCHEMA data.content: missing 12:01"
    old = row_of(status(last_error=replace(error, cause="x" * 80, at=NOW - timedelta(days=3))))[-1]
    assert old == f"E_SCHEMA {'x' * 59}… 2026-11-17 12:04"


def test_json_has_numbers_or_null_and_a_way_out_of_each_halt():
    document = status(replace(partition(3), halted_code="H_TRUNCATED", halted_reason="cut"), workers=()).document()

    assert (document["rate"], document["behind_event_seconds"], document["paused"]) == (None, None, None)
    assert "tailrace progress reset search" in document["partitions"][0]["halted"]["fix"]


def test_the_watch_draws_the_table_its_halts_and_its_time():
    page = io.StringIO()
    halted = status(replace(partition(48), halted_code="H_RETENTION", halted_reason="offset 52 is gone"))
    Console(file=page, width=160).print(drawn([status(control=PAUSED), halted], None))

    lines = [line.rstrip() for line in page.getvalue().splitlines()]
    assert lines[0].split()[:3] == ["PROJECTION", "STATE", "PARTS"]
    assert lines[1].split()[:3] == ["search", "‖", "paused"]
    assert lines[1].endswith('paused by ana: "reindex"')
    assert lines[3:] == [
        "search: collab.activity/0 halted (H_RETENTION): offset 52 is gone",
        f"2 projections · 1 needs attention (search) · 1 paused (search) · 2 dead letters · {AS_OF}",
    ]


def test_the_watch_says_why_there_is_nothing_to_draw():
    page = io.StringIO()
    Console(file=page, width=160).print(drawn(None, "kafka at 127.0.0.1:1: KafkaConnectionError"))

    assert page.getvalue() == "projections: kafka at 127.0.0.1:1: KafkaConnectionError\n"


def test_when_all_is_well_the_footer_says_so():
    assert footer([status(position=WHOLE)]) == f"1 projection · all is well · {AS_OF}"


def test_all_is_not_well_while_events_are_refused():
    refused = status(position=replace(WHOLE, dead_letters=23_466))
    assert footer([refused]) == f"1 projection · 23,466 dead letters · {AS_OF}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0, "0s"), (0.42, "0.4s"), (59.9, "59.9s"), (312, "5m12s"), (11_100, "3h05m"), (187_200, "2d4h")],
)
def test_durations_are_short(seconds: float | None, text: str | None):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (b'{"time":"2026-11-20T12:04:31Z"}', NOW),
        (b'{"time":"2026-11-20T13:04:31+01:00"}', NOW),
        (b'{"time":"yesterday"}', None),
        (b'{"time":"2026-11-20T12:04:31"}', None),
        (b'{"time":5}', None),
        (b"[]", None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_a_record_says_when_it_happened_or_nothing(value: bytes | None, time: datetime | None):
    assert event_time_of(value) == time
