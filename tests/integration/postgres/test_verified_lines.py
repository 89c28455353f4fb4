"""Verification reads only rows whose lines it did not expect: what is wrong must not have the line of what is right."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from contract_events import CloudEvent, Given, at, in_world
from psycopg import sql
from psycopg.types.json import Jsonb
from read_models import Log, ReadModels, log_of

from tailrace.schemas.event import Event
from tailrace.verification.compare import Rows, compare_table, prepare
from tailrace.verification.fold import fold
from tailrace.verification.fold_log import Table
from tailrace.verification.lines import OPEN, lines
from tailrace.verification.tables import TABLES, TableSpec

DAMAGED = {
    "bool": "NOT coalesce({0}, false)",
    "int4": "coalesce({0}, 0) + 1",
    "int8": "coalesce({0}, 0) + 1",
    "float8": "coalesce({0}, 0) + 0.01",
    "text": "coalesce({0}, '') || ' '",
    "uuid": "gen_random_uuid()",
    "timestamptz": "coalesce({0}, '2026-11-20 12:00Z') + '1 microsecond'",
    "date": "{0} + 1",
    "uuid[]": "{0} || gen_random_uuid()",
    "text[]": "{0} || ARRAY['x']",
    "jsonb": """CASE WHEN jsonb_typeof({0}) = 'array'
                THEN {0} || '[{{"content": "", "edited_at": "2026-11-20T12:00:00+00:00", "editor_id": ""}}]'
                ELSE coalesce({0}, '{{}}') || '{{"x": 1}}' END""",
}
"""By type: another value than the one there."""

COMPUTED = {"avg_message_length", "time_spent_minutes"}
STORED = {"reactions": "message_reactions"}
"""Tables behind views."""


def history(given: Given) -> list[CloudEvent]:
    """Something of everything, with nothing in it that the rules leave open."""
    return [
        given.user(title="Dr", bio="one\ttwo\nthree \\ four"),
        given.preferences(),
        given.logged_in(),
        given.workspace(settings={"timezone": "UTC", "days": 1.5, "é": [True, None]}),
        given.hired(title="CEO", permissions={"invite": True}),
        given.invited(),
        given.invitation("accepted"),
        given.integration(),
        given.channel(topic="\u3000", retention_policy={"days": 7}),
        given.joined(invited_by="bo"),
        given.posted("m1", "hällo\r\n", mentions=["bo", "cy"], client_msg_id="1", formatted_content={"b": "\\N"}),
        given.edited("new", "m1", mentions=["cy"]),
        given.edited('newer "quoted"', "m1"),
        given.posted("m2", "reply", thread_id="m1", time="12:30", created_at=at("12:30").replace(microsecond=120_000)),
        given.reacted("👍", "m1"),
        given.reacted(":Party:", "m1", "bo"),
        given.reacted("👍", "m1", "bo"),
        given.about("pinned", "m1"),
        given.posted("m3", "gone"),
        given.about("deleted", "m3"),
        given.read("m2", "12:31"),
        given.uploaded(tags=["a", "b c"]),
        given.file("processed", thumbnails={"small": "x"}),
        given.file("scanned"),
        given.file("accessed"),
        given.shared(file_comment="look"),
        given.activity(metadata={"n": 1}),
        given.started(),
        given.ended(),
    ]  # fmt: skip


@pytest.fixture
async def applied(models: ReadModels, given: Given) -> Log:
    models.clear()
    log = log_of([in_world(event) for event in history(given)], models.settings)
    await models.apply([log])
    return log


def expected(models: ReadModels, log: Log) -> dict[str, Table]:
    decoded = [models.decoded(record) for record in log]
    assert all(isinstance(event, Event) for event in decoded)
    return fold(event for event in decoded if isinstance(event, Event))


@contextmanager
def undone(models: ReadModels) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of which nothing stays."""
    with psycopg.connect(models.dsn) as connection:
        prepare(connection)
        connection.execute("SET timezone = 'UTC'")
        yield connection
        connection.rollback()


def differences(connection: psycopg.Connection[Any], models: ReadModels, spec: TableSpec, table: Table) -> int:
    return compare_table(spec, table, Rows(connection, models.settings, spec), limit=9).count


def where_first(spec: TableSpec, relation: sql.Identifier) -> sql.Composed:
    """One row, always the same: the place of a row is that of its partition and that in it."""
    key = sql.SQL(", ").join(map(sql.Identifier, spec.key))
    return sql.SQL("(tableoid, ctid) = (SELECT tableoid, ctid FROM {} ORDER BY {} LIMIT 1)").format(relation, key)


def stored(spec: TableSpec) -> sql.Identifier:
    return sql.Identifier(spec.schema, STORED.get(spec.relations[0], spec.relations[0]))


def make_plain(connection: psycopg.Connection[Any], relation: sql.Identifier, spec: TableSpec) -> None:
    """Let what the server computes be another."""
    for column in COMPUTED & {*spec.columns}:
        statement = sql.SQL("ALTER TABLE {} ALTER {} DROP EXPRESSION").format(relation, sql.Identifier(column))
        connection.execute(statement)


async def test_every_row_is_known_by_its_line(models: ReadModels, applied: Log):
    tables = expected(models, applied)
    with undone(models) as connection:
        for spec in TABLES:
            rows = Rows(connection, models.settings, spec)
            known = lines(rows.types, spec.columns, tables[spec.name])
            assert len(known) == len(tables[spec.name]) > 0, spec.name
            unknown = set(rows.lines()) ^ known.keys()
            # Of tags, those with a space are quoted, and left to be compared as values.
            assert not unknown or spec.name == "files", unknown
            report = compare_table(spec, tables[spec.name], rows, limit=9)
            assert (report.checked, report.count) == (len(known), 0)


async def test_any_damage_to_one_value_of_one_row_is_found(models: ReadModels, applied: Log):
    tables = expected(models, applied)
    unnoticed = []
    with undone(models) as connection:
        for spec in TABLES:
            types = dict(zip((*spec.key, *spec.columns), Rows(connection, models.settings, spec).types, strict=True))
            relation = stored(spec)
            for column, type_ in types.items():
                with connection.transaction(force_rollback=True):
                    make_plain(connection, relation, spec)
                    value = sql.SQL(DAMAGED[type_]).format(sql.Identifier(column))
                    done = connection.execute(
                        sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(
                            relation, sql.Identifier(column), value, where_first(spec, relation)
                        )
                    )
                    assert done.rowcount == 1
                    if not differences(connection, models, spec, tables[spec.name]):
                        unnoticed.append((spec.name, column))
    assert unnoticed == []


async def test_a_value_that_is_gone_is_found(models: ReadModels, applied: Log):
    tables = expected(models, applied)
    unnoticed = []
    with undone(models) as connection:
        for spec in TABLES:
            relation = stored(spec)
            for column in spec.columns:
                with suppress(psycopg.errors.NotNullViolation), connection.transaction(force_rollback=True):
                    make_plain(connection, relation, spec)
                    done = connection.execute(
                        sql.SQL("UPDATE {0} SET {1} = NULL WHERE {1} IS NOT NULL").format(
                            relation, sql.Identifier(column)
                        )
                    )
                    if done.rowcount and not differences(connection, models, spec, tables[spec.name]):
                        unnoticed.append((spec.name, column))
    assert unnoticed == []


async def test_a_row_that_is_missing_or_there_twice_is_found(models: ReadModels, applied: Log):
    tables = expected(models, applied)
    with undone(models) as connection:
        for spec in TABLES:
            relation = stored(spec)
            with connection.transaction(force_rollback=True):
                connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(relation, where_first(spec, relation)))
                assert differences(connection, models, spec, tables[spec.name]) == 1, spec.name
        messages = next(spec for spec in TABLES if spec.name == "messages")
        connection.execute("CREATE TABLE collab.archived PARTITION OF collab.messages_archive DEFAULT")
        connection.execute("INSERT INTO collab.messages_archive SELECT * FROM collab.messages LIMIT 1")
        assert differences(connection, models, messages, tables["messages"]) == 1


def test_values_are_written_as_this_server_writes_them(models: ReadModels):
    every = "".join(map(chr, range(1, 256))) + "\u2028\u3000\U0001f44d"
    values: dict[str, list[Any]] = {
        "text": [every, "", r"\N", "\\", "a\\tb", "会議", None],
        "jsonb": [{every: every, "": [], "b": {"aa": 1, "z": -2.5, "ß": [None, True, {}]}}, {}, {"at": [False]}, None],
        "timestamptz": [datetime(2026, 9, 7, 1, 2, 3, us, UTC) for us in (0, 1, 10, 120_000, 999_999)] + [None],
        "float8": [0.1, 2 / 3, 12.0, 1e20, 123456789.123, None],
        "bool": [True, False, None],
        "int8": [0, -1, 2**63 - 1, None],
        "date": [date(2026, 9, 7), date(999, 1, 1), None],
        "text[]": [[], ["a-b"], None],
    }
    count = max(map(len, values.values()))
    columns = tuple(f"c{number}" for number in range(len(values)))
    held = zip(*((of_type * count)[:count] for of_type in values.values()), strict=True)
    rows = {(str(number),): dict(zip(columns, row, strict=True)) for number, row in enumerate(held)}
    spec = TableSpec("tricky", "collab", ("tricky",), ("id",), columns)
    with undone(models) as connection:
        declared = ", ".join(f"{name} {type_}" for name, type_ in zip(columns, values, strict=True))
        connection.execute(f"CREATE TABLE collab.tricky (id text, {declared})")
        marks = ", ".join(["%s"] * (len(columns) + 1))
        for (key,), row in rows.items():
            arguments = [Jsonb(value) if isinstance(value, dict) else value for value in row.values()]
            connection.execute(f"INSERT INTO collab.tricky VALUES ({marks})", (key, *arguments))  # noqa: S608 - marks
        found = Rows(connection, models.settings, spec)
        assert set(found.lines()) == lines(found.types, columns, rows).keys()
        assert not any(OPEN.encode() in line for line in lines(found.types, columns, rows))
        # Read as values they are the same, too.
        assert {values[:1]: dict(zip(columns, values[1:], strict=True)) for values in found} == rows
