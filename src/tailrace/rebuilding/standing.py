"""Where a version stands in the log: the positions of its own tables, and those of the live ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from tailrace.consumers.batch import TopicPartition
from tailrace.errors import PreconditionError
from tailrace.operations.database import connection
from tailrace.projections.registry import POSTGRES
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names


@dataclass(frozen=True, slots=True)
class Place:
    """Position of one partition. `fingerprint` is that of the record before `next_offset`."""

    next_offset: int
    fingerprint: str | None
    halted_code: str | None
    halted_reason: str | None


Places = dict[TopicPartition, Place]


def places(settings: Settings, conn: psycopg.Connection | None = None) -> Places:
    """Positions of the `postgres` projection in the schemas that the settings name, by partition (full topic name)."""
    if conn is None:
        with connection(settings) as own:
            return places(settings, own)
    text = render(queries("progress")["positions"], schema_names(settings.postgres))
    try:
        cursor = psycopg.RawCursor(conn, row_factory=dict_row)
        rows = cursor.execute(text.encode(), (POSTGRES.name, POSTGRES.version)).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise PreconditionError("the database has no such tables", fix="tailrace db migrate") from error
    return {
        TopicPartition(row["topic"], row["partition"]): Place(
            row["next_offset"], row["fingerprint"], row["halted_code"], row["halted_reason"]
        )
        for row in rows
    }


def offsets(found: Places) -> dict[TopicPartition, int]:
    """Next offset by partition."""
    return {tp: place.next_offset for tp, place in found.items()}


def records_between(reached: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int]) -> int:
    """Records still to apply; a partition without a position counts from offset 0."""
    return sum(max(0, end - reached.get(tp, 0)) for tp, end in until.items())
