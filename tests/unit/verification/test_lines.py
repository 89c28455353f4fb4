"""Rows as lines of COPY; what PostgreSQL makes of them is in integration/postgres/test_verified_lines.py."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.verification.fold import fold
from tailrace.verification.fold_log import FreeRow, OneOf, Table
from tailrace.verification.fold_message_table import MessageTable
from tailrace.verification.lines import CHUNK_ROWS, lines
from tailrace.verification.tables import TABLES
from tailrace.workload import generate, named_profile

TIME = datetime(2026, 9, 7, 12, 30, tzinfo=UTC)


def line(type_: str, value: Any) -> str:
    (only,) = lines(("uuid", type_), ("value",), {("k1",): {"value": value}})
    return only.decode().removeprefix("k1\t")


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("uuid", None, r"\N"),
        ("uuid", "01a0", "01a0"),
        ("text", r"\N", r"\\N"),
        ("text", "a\tb\r\nc", r"a\tb\r\nc"),
        ("text", "会議\u3000です", "会議\u3000です"),
        ("text", "", ""),
        ("bool", True, "t"),
        ("bool", None, r"\N"),
        ("int8", -5, "-5"),
        ("float8", 12.0, "12"),
        ("float8", 2 / 3, "0.6666666666666666"),
        ("timestamptz", TIME, "2026-09-07 12:30:00+00"),
        ("timestamptz", TIME.replace(microsecond=120_300), "2026-09-07 12:30:00.1203+00"),
        ("timestamptz", None, r"\N"),
        ("date", date(2026, 9, 7), "2026-09-07"),
        ("jsonb", {}, "{}"),
        ("jsonb", [], "[]"),
        ("jsonb", {"bb": 1, "c": [True, None], "é": "x"}, '{"c": [true, null], "bb": 1, "é": "x"}'),
        ("jsonb", {"a": 'q"\\\n'}, r'{"a": "q\\"\\\\\\n"}'),
        ("jsonb", [{"at": TIME}], '[{"at": "2026-09-07T12:30:00.000000+00:00"}]'),
        ("uuid[]", ["a-1", "b-2"], "{a-1,b-2}"),
        ("text[]", [], "{}"),
    ],
)
def test_values_are_written_as_postgresql_writes_them(type_: str, value: Any, text: str):
    assert line(type_, value) == text


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        *((type_, OneOf((None, "x"))) for type_ in ("uuid", "text", "bool", "int4", "float8", "date", "jsonb")),
        ("timestamptz", OneOf((TIME,))),
        ("text", 5),
        ("bool", 1),
        ("int4", "5"),
        ("text[]", ["a,b"]),
        ("text[]", ["null"]),
        ("text[]", [""]),
        ("jsonb", {"a": OneOf((1, 2))}),
        ("interval", "1 day"),
    ],
)
def test_what_is_open_or_of_another_type_has_a_line_that_no_row_has(type_: str, value: Any):
    assert "\0" in line(type_, value)


def test_a_row_that_leaves_a_column_open_does_not_hide_the_others():
    table = {("k1",): {"a": "x", "b": True}, ("k2",): FreeRow(b=False), ("k3",): {"a": None, "b": OneOf((True, False))}}
    assert lines(("text", "text", "bool"), ("a", "b"), table) == {
        b"k1\tx\tt": ("k1",),
        b"k2\t\0\tf": ("k2",),
        b"k3\t\\N\t\0": ("k3",),
    }


def test_no_row_is_lost_where_one_chunk_ends():
    table = {(f"k{number}",): {"a": number} for number in range(2 * CHUNK_ROWS + 1)}
    assert lines(("text", "int4"), ("a",), table) == {f"k{n}\t{n}".encode(): (f"k{n}",) for n in range(len(table))}


MESSAGES = next(spec for spec in TABLES if spec.name == "messages")
TYPES = {
    "message_id": "uuid", "created_at": "timestamptz", "workspace_id": "uuid", "channel_id": "uuid", "user_id": "uuid",
    "formatted_content": "jsonb", "thread_id": "uuid", "reply_count": "int4", "last_reply_at": "timestamptz",
    "is_pinned": "bool", "is_deleted": "bool", "deleted_at": "timestamptz", "reactions": "jsonb", "mentions": "uuid[]",
    "has_files": "bool", "edited_at": "timestamptz", "edit_count": "int4", "edit_history": "jsonb",
    "updated_at": "timestamptz",
}  # fmt: skip


@pytest.fixture(scope="module")
def messages() -> MessageTable:
    """Those of a company's week, with all that happens to messages."""
    run = named_profile("demo", start=TIME, events=6_000, workspaces=2, users=30)
    events = []
    for offset, record in enumerate(generate(run)):
        event = decode(record.topic, record.key, record.value, None)
        if isinstance(event, Event):
            event.partition, event.offset = 0, offset
            events.append(event)
    table = fold(events)["messages"]
    assert isinstance(table, MessageTable)
    return table


def test_columns_make_the_lines_that_rows_make(messages: MessageTable):
    names = (*MESSAGES.key, *MESSAGES.columns)
    types = [TYPES.get(name, "text") for name in names]
    touched = len(list(messages.rows()))
    assert len(messages) > 2 * CHUNK_ROWS
    assert 0 < touched < len(messages) / 2
    by_columns = lines(types, MESSAGES.columns, messages)
    whole: Table = dict(messages.items())
    assert len(whole) == len(messages) == len(list(messages.rows()))
    assert by_columns == lines(types, MESSAGES.columns, whole)


def test_a_message_is_found_by_its_whole_key_and_by_no_other(messages: MessageTable):
    key = next(iter(messages))
    assert messages[key]["channel_id"]
    assert (key[0], TIME.replace(year=1999)) not in messages
    assert ("none", key[1]) not in messages
