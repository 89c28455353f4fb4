"""One connection, its statements by name, and the forms in which values cross it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import orjson

from tailrace.settings import PostgresSettings
from tailrace.sql.catalog import queries, render

FILES = ("progress", "messages", "effects", "refusals", "rollups")


def to_json(value: Any) -> str:
    """JSON text for a jsonb column or a recordset; times become RFC 3339, ids text.

    orjson refuses integers beyond 64 bits, which a free object of an event may hold and jsonb can.
    """
    try:
        return orjson.dumps(value, default=str).decode("utf-8")
    except orjson.JSONEncodeError:
        return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class Statements:
    """SQL texts by name, with this instance's schema names."""

    def __init__(self, settings: PostgresSettings) -> None:
        self.schemas = {
            "collab": settings.schema_collab,
            "analytics": settings.schema_analytics,
            "runtime": settings.schema_runtime,
        }
        self._texts = {name: self.render(text) for file in FILES for name, text in queries(file).items()}

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def render(self, text: str) -> str:
        """Put this instance's schema names into an SQL text."""
        return render(text, self.schemas)


class Session:
    """A connection inside a transaction. Every method is one round trip."""

    def __init__(self, connection: asyncpg.Connection, statements: Statements) -> None:
        self.connection = connection
        self.statements = statements

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a named statement and return its rows."""
        return await self.connection.fetch(self.statements[name], *arguments)

    async def fetch_text(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a computed statement and return its rows."""
        return await self.connection.fetch(text, *arguments)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """COPY rows into a table named with its plain schema, e.g. `collab.messages`."""
        schema, _, name = table.partition(".")
        await self.connection.copy_records_to_table(
            name, schema_name=self.statements.schemas[schema], columns=list(columns), records=rows
        )
