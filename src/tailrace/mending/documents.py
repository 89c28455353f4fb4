"""Write single documents of the search indices anew, whatever version the wrong ones have."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import asyncpg
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from tailrace.addresses import resolve
from tailrace.consumers.search.beside import make_tools
from tailrace.consumers.search.indices import connect
from tailrace.consumers.search.jobs import Tools
from tailrace.consumers.search.layout import Document, Write
from tailrace.consumers.search.reading import Database, documents
from tailrace.errors import UnreachableError
from tailrace.settings import Settings
from tailrace.sql.catalog import render, schema_names

FORGOTTEN: Final = 1_000
"""Versions by which a document is raised that is not there: a deletion has one too, which nobody can ask for."""
PAGE: Final = 500

_RAISE_MEMBER: Final = """
UPDATE collab.workspace_members SET doc_version = doc_version + $2
WHERE workspace_id = split_part($1, ':', 1)::uuid AND user_id = split_part($1, ':', 2)::uuid
"""
_RAISE: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": (
        "UPDATE collab.messages SET doc_version = doc_version + $2 WHERE message_id = $1::uuid",
        "UPDATE collab.messages_archive SET doc_version = doc_version + $2 WHERE message_id = $1::uuid",
    ),
    "files": ("UPDATE collab.files SET doc_version = doc_version + $2 WHERE file_id = $1::uuid",),
    "users": (_RAISE_MEMBER,),
}
_COUPLE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tailrace.couple.' || $1, 0))"


async def mend_documents(settings: Settings, wanted: Mapping[str, Collection[str]]) -> int:
    """Write the documents with these ids by alias as PostgreSQL has them now; those it does not have are deleted.

    Versions in PostgreSQL are raised above those of the wrong documents, so that what workers write later is newer
    still. Returns how many were written or deleted. Raises `UnreachableError`.
    """
    client = connect(resolve(settings).elasticsearch, settings.elasticsearch)
    database = Database(resolve(settings).postgres, settings.postgres, "tailrace replay")
    try:
        tools = make_tools(client, database, settings.elasticsearch)
        one = _Mender(settings, client, database, tools)
        return sum([await one.mend(alias, sorted(ids)) for alias, ids in wanted.items() if ids])
    except (ApiError, TransportError) as error:
        raise UnreachableError(f"elasticsearch: {type(error).__name__}", fix="tailrace doctor") from error
    except (OSError, asyncpg.PostgresConnectionError) as error:
        raise UnreachableError(f"PostgreSQL: {type(error).__name__}", fix="tailrace doctor") from error
    finally:
        await database.close()
        await client.close()


class _Mender:
    def __init__(self, settings: Settings, client: AsyncElasticsearch, database: Database, tools: Tools) -> None:
        self._settings = settings
        self._client = client
        self._database = database
        self._tools = tools

    async def mend(self, alias: str, ids: list[str]) -> int:
        for start in range(0, len(ids), PAGE):
            await self._page(alias, ids[start : start + PAGE])
        return len(ids)

    async def _page(self, alias: str, ids: list[str]) -> None:
        layout = await self._tools.layouts.current()
        found = await self._documents(alias, ids)
        await self._raise(alias, await self._behind(layout.writes(found)))
        again = await self._documents(alias, ids)
        await self._tools.writer.over_equals().send(layout.writes(again))
        if strangers := sorted(set(ids) - {document.id for document in again}):
            await self._delete(alias, strangers)

    async def _delete(self, alias: str, ids: list[str]) -> None:
        """Take documents out that no row stands for, wherever the alias shows them."""
        index = f"{self._settings.elasticsearch.index_prefix}{alias}"
        await self._client.indices.refresh(index=index)
        found = await self._client.search(index=index, query={"ids": {"values": ids}}, size=len(ids), source=False)
        for hit in found["hits"]["hits"]:
            await self._client.delete(index=hit["_index"], id=hit["_id"])

    async def _documents(self, alias: str, ids: list[str]) -> list[Document]:
        async with self._database.snapshot():
            connection = await self._database.connection()
            if alias == "messages":
                return await documents(self._database, messages=ids)
            if alias == "files":
                text = self._text(
                    "SELECT workspace_id::text, file_id::text FROM collab.files WHERE file_id = ANY ($1::uuid[])"
                )
                return await documents(self._database, files=[(r[0], r[1]) for r in await connection.fetch(text, ids)])
            pairs = [(one.partition(":")[0], one.partition(":")[2]) for one in ids]
            return await documents(self._database, members=pairs)

    async def _behind(self, writes: list[Write]) -> dict[str, int]:
        """By how much each document's version has to rise to be above the one that Elasticsearch has."""
        if not writes:
            return {}
        asked: list[dict[str, Any]] = [{"_index": one.target, "_id": one.id, "_source": False} for one in writes]
        answer = await self._client.mget(docs=asked)
        behind: dict[str, int] = {}
        for write, stored in zip(writes, answer["docs"], strict=True):
            gap = stored["_version"] - write.version + 1 if stored.get("found") else FORGOTTEN
            behind[write.id] = max(behind.get(write.id, 0), gap)
        return {one: gap for one, gap in behind.items() if gap > 0}

    async def _raise(self, alias: str, behind: Mapping[str, int]) -> None:
        if not behind:
            return
        async with self._database.transaction():
            connection = await self._database.connection()
            # A worker computes versions from what it has loaded: none may be between loading and storing now.
            await connection.execute(_COUPLE, self._settings.postgres.schema_collab)
            for text in _RAISE[alias]:
                await connection.executemany(self._text(text), sorted(behind.items()))

    def _text(self, text: str) -> str:
        return render(text, schema_names(self._settings.postgres))
