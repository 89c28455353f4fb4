"""Reads documents from PostgreSQL: which ones a change reaches, and what they are, in one snapshot."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from tailrace.consumers.search.layout import Document
from tailrace.projections.documents import Dirty
from tailrace.settings import PostgresSettings
from tailrace.sql.catalog import queries, render, schema_names

FILES: Final = ("documents", "search", "search_pages")
FILES_LARGER: Final = 10
"""So many times fewer documents of files than others are read together."""

_BEGIN: Final = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = {statement_timeout_ms};
SET LOCAL idle_in_transaction_session_timeout = {statement_timeout_ms};
SET LOCAL timezone = 'UTC';
SET LOCAL jit = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off
"""
# As in the PostgreSQL worker: rows are found by key, and plans made while tables were empty are kept.

Ids = list[str]
Pairs = set[tuple[str, str]]


class Database:
    """One connection of the search worker, reopened when it is lost, with its statements by name."""

    def __init__(self, dsn: str, settings: PostgresSettings, name: str) -> None:
        schemas = schema_names(settings)
        self.texts: Mapping[str, str] = {
            query: render(text, schemas) for file in FILES for query, text in queries(file).items()
        }
        self._dsn = dsn
        self._settings = settings
        self._name = name
        self._connection: asyncpg.Connection | None = None

    def beside(self) -> "Database":
        """The same statements on another connection."""
        return Database(self._dsn, self._settings, self._name)

    async def connection(self) -> asyncpg.Connection:
        """The open connection; a new one where it was lost."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=self._settings.connect_timeout_s,
                command_timeout=self._settings.statement_timeout_ms / 1000 + 5,
                statement_cache_size=self._settings.statement_cache_size,
                server_settings={"application_name": self._name},
            )
        return self._connection

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a named statement."""
        return await (await self.connection()).fetch(self.texts[name], *arguments)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """Everything fetched inside is read at one moment."""
        connection = await self.connection()
        await connection.execute(_BEGIN.format(statement_timeout_ms=self._settings.statement_timeout_ms))
        try:
            yield
            await connection.execute("COMMIT")
        except BaseException:
            # Whatever the connection was doing, nothing of it is wanted any more.
            self.discard()
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A transaction that writes; rolled back by an exception."""
        async with (await self.connection()).transaction():
            yield

    def discard(self) -> None:
        """Drop the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Close the connection, or drop it where the server does not answer."""
        if self._connection is not None:
            try:
                await self._connection.close(timeout=5)
            except (OSError, TimeoutError, asyncpg.InterfaceError):
                self.discard()
            self._connection = None


@dataclass
class Reach:
    """Documents that are dirty, and jobs for those that are too many for a batch."""

    messages: set[str] = field(default_factory=set)
    files: Pairs = field(default_factory=set)
    members: Pairs = field(default_factory=set)
    jobs: set[tuple[str, str]] = field(default_factory=set)

    def parts(self, size: int) -> Iterator["Reach"]:
        """The same documents, at most `size` of them together; fewer files, of which each may hold a MiB of text."""
        messages, files, members = sorted(self.messages), sorted(self.files), sorted(self.members)
        for start in range(0, len(messages), size):
            yield Reach(messages=set(messages[start : start + size]))
        few = max(1, size // FILES_LARGER)
        for start in range(0, len(files), few):
            yield Reach(files=set(files[start : start + few]))
        for start in range(0, len(members), size):
            yield Reach(members=set(members[start : start + size]))


@dataclass(frozen=True, slots=True)
class Indexed:
    """Before which offsets postings were indexed already: of any partition, and of each channel's own.

    What a name reaches behind them is left out: those postings are still to come, and will be read with the name as it
    is then.
    """

    anywhere: int
    in_channel: Mapping[str, int]


async def reach(database: Database, dirty: Dirty, indexed: Indexed, inline_max: int) -> Reach:
    """Everything that these events reach, by what PostgreSQL holds. Must be called inside a snapshot."""
    found = Reach(set(dirty.messages), set(dirty.files), set(dirty.members))
    if dirty.posted:
        found.messages |= {r[0] for r in await database.fetch("replies_below", _array(dirty.posted))}
    if dirty.shown_or_hidden:
        found.files |= _pairs(await database.fetch("files_of_messages", _array(dirty.shown_or_hidden)))
    if dirty.sessions:
        found.members |= _pairs(await database.fetch("members_of_sessions", list(dirty.sessions)))
    found.jobs |= {("workspace", workspace_id) for workspace_id in dirty.ended_workspaces}
    await _reach_of_users(database, dirty, found, inline_max)
    for kind, query, limits in (
        ("user", "messages_of_users", dict.fromkeys(dirty.users, indexed.anywhere)),
        ("channel", "messages_of_channels", {c: indexed.in_channel.get(c, 0) for c in dirty.channels}),
    ):
        wanted = sorted(subject for subject, below in limits.items() if below and (kind, subject) not in found.jobs)
        if wanted:
            rows = await database.fetch(query, wanted, inline_max + 1)
            _take_messages(found, kind, rows, limits, inline_max)
    # Of the messages that hold a file, has_files may be another.
    touched = [file_id for _, file_id in found.files]
    if touched:
        found.messages |= {r[0] for r in await database.fetch("messages_of_files", touched)}
    return found


async def _reach_of_users(database: Database, dirty: Dirty, found: Reach, inline_max: int) -> None:
    if dirty.profiles:
        rows = await database.fetch("memberships_of_users", list(dirty.profiles), inline_max + 1)
        if len(rows) > inline_max:
            found.jobs |= {("user", user_id) for user_id in dirty.profiles}
        found.members |= _pairs(rows)
    if dirty.users:
        rows = await database.fetch("files_of_uploaders", list(dirty.users), inline_max + 1)
        if len(rows) > inline_max:
            found.jobs |= {("user", user_id) for user_id in dirty.users}
        found.files |= _pairs(rows)
    if dirty.erased_users:
        rows = await database.fetch("messages_reacted_by_users", list(dirty.erased_users), inline_max + 1)
        if len(rows) > inline_max:
            found.jobs |= {("user", user_id) for user_id in dirty.erased_users}
        found.messages |= {r[0] for r in rows}


def _take_messages(
    found: Reach, kind: str, rows: Iterable[asyncpg.Record], limits: Mapping[str, int], inline_max: int
) -> None:
    """Take the messages of each subject into the batch while there is room; a subject with more becomes a job."""
    held: dict[str, int] = {}
    indexed: dict[str, set[str]] = {}
    for row in rows:
        subject = row["subject"]
        held[subject] = held.get(subject, 0) + 1
        if row["log_offset"] < limits[subject]:
            indexed.setdefault(subject, set()).add(row["message_id"])
    room = inline_max
    for subject, messages in sorted(indexed.items(), key=lambda item: (len(item[1]), item[0])):
        if held[subject] > inline_max or len(messages) > room:
            found.jobs.add((kind, subject))
        else:
            room -= len(messages)
            found.messages |= messages


def _array(ids: Iterable[str]) -> str:
    """Canonical ids as PostgreSQL writes an array of them."""
    return f"{{{','.join(ids)}}}"


def _pairs(rows: Iterable[asyncpg.Record]) -> Pairs:
    return {(row[0], row[1]) for row in rows}


async def documents(
    database: Database, messages: Iterable[str] = (), files: Iterable[tuple[str, str]] = (),
    members: Iterable[tuple[str, str]] = (),
) -> list[Document]:  # fmt: skip
    """Whole documents with their versions, one query for each kind: the one builder of everything that is indexed.

    Ids without a row give no document.
    """
    found: list[Document] = []
    if wanted := sorted(messages):
        found += [Document("messages", *row) for row in await database.fetch("message_documents", _array(wanted))]
    if pairs := sorted(files):
        rows = await database.fetch("file_documents", *zip(*pairs, strict=True))
        found += [Document("files", *row) for row in rows]
    if pairs := sorted(members):
        rows = await database.fetch("member_documents", *zip(*pairs, strict=True))
        found += [Document("users", *row) for row in rows]
    return found
