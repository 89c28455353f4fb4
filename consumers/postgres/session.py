"""One connection, its statements by name, and the forms in which values cross it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import orjson

from tailrace.settings import PostgresSettings
from tailrace.sql.catalog import queries, render

_LIVE, _ARCHIVED = "collab.messages m", "collab.messages_archive m"
"""How a statement about single messages names its table, and what it says in the statement's other form."""
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
        texts = {name: text for file in FILES for name, text in queries(file).items()}
        self._texts = {name: self.render(text) for name, text in texts.items()}
        self._archived = {
            name: self.render(text.replace(_LIVE, _ARCHIVED)) for name, text in texts.items() if _LIVE in text
        }

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def of_archive(self, name: str) -> str:
        """The statement about messages of this name, for those in the archive."""
        return self._archived[name]

    def render(self, text: str) -> str:
        """Put this instance's schema names into an SQL text."""
        return render(text, self.schemas)


class Session:
    """A connection inside a transaction. Every method is one round trip."""

    def __init__(self, connection: asyncpg.Connection, statements: Statements) -> None:
        self.connection = connection
        self.statements = statements
        self.has_archive: bool | None = None

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a named statement and return its rows."""
        return await self.connection.fetch(self.statements[name], *arguments)

    async def fetch_of_messages(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a named statement about messages, which lie in collab.messages or in its archive; rows of both."""
        rows = await self.fetch(name, *arguments)
        if self.has_archive is None:
            self.has_archive = (await self.fetch("has_archive"))[0][0]
        if self.has_archive:
            rows += await self.connection.fetch(self.statements.of_archive(name), *arguments)
        return rows

    async def fetch_text(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a computed statement and return its rows."""
        return await self.connection.fetch(text, *arguments)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """COPY rows into a table named with its plain schema, e.g. `collab.messages`."""
        schema, _, name = table.partition(".")
        await self.connection.copy_records_to_table(
            name, schema_name=self.statements.schemas[schema], columns=list(columns), records=rows
        )
