"""Reads documents from PostgreSQL: which ones a change reaches, and what they are, in one snapshot."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
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

TOGETHER: Final = 5
"""Documents that all names of a batch may reach in it, in multiples of what one name may: a second of writing."""
READS: Final = 50
"""Ids that are read to find that out, likewise; where thousands are renamed at once, the last are not looked at."""
SUBJECTS_AT_ONCE: Final = 50
"""So many subjects are asked about together: of each there may be more ids than fit."""

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
        self._switched: dict[str, bool] = {}

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
        self._switched.clear()
        await connection.execute(_BEGIN.format(statement_timeout_ms=self._settings.statement_timeout_ms))
        try:
            yield
            await connection.execute("COMMIT")
        except BaseException:
            # Whatever the connection was doing, nothing of it is wanted any more.
            self.discard()
            raise

    async def set_locally(self, name: str, *, is_on: bool) -> None:
        """Switch a setting of the planner, on by default, until the snapshot ends."""
        if self._switched.get(name, True) != is_on:
            await (await self.connection()).execute(f"SET LOCAL {name} = {'on' if is_on else 'off'}")
            self._switched[name] = is_on

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
    """Everything that these events reach, by what PostgreSQL holds. Must be called inside a snapshot.

    `inline_max` documents may come of one name, `TOGETHER` times as many of all names; the rest becomes jobs.
    """
    found = Reach(set(dirty.messages), set(dirty.files), set(dirty.members))
    if dirty.posted:
        found.messages |= {r[0] for r in await database.fetch("replies_below", _array(dirty.posted))}
    if dirty.shown_or_hidden:
        found.files |= _pairs(await database.fetch("files_of_messages", _array(dirty.shown_or_hidden)))
    if dirty.sessions:
        found.members |= _pairs(await database.fetch("members_of_sessions", list(dirty.sessions)))
    found.jobs |= {("workspace", workspace_id) for workspace_id in dirty.ended_workspaces}
    users = await _renamed(database, "user", dirty.users, dirty) | dirty.erased_users
    channels = await _renamed(database, "channel", dirty.channels, dirty) | dirty.ended_channels
    below = dict.fromkeys(users, indexed.anywhere) | {c: indexed.in_channel.get(c, 0) for c in channels}

    def was_indexed(row: asyncpg.Record) -> bool:
        return bool(row["log_offset"] < below[row["subject"]])

    spreading = _Spreading(database, found, inline_max)
    for row in await spreading.taken("user", "memberships_of_users", dirty.profiles):
        found.members.add((row["workspace_id"], row["subject"]))
    for row in await spreading.taken("user", "files_of_uploaders", users):
        found.files.add((row["workspace_id"], row["file_id"]))
    for row in await spreading.taken("user", "messages_reacted_by_users", dirty.erased_users):
        found.messages.add(row["message_id"])
    for kind, query, subjects in (("user", "messages_of_users", users), ("channel", "messages_of_channels", channels)):
        rows = await spreading.taken(kind, query, {one for one in subjects if below[one]}, was_indexed)
        found.messages |= {row["message_id"] for row in rows}
    # Of the messages that hold a file, has_files may be another.
    touched = [file_id for _, file_id in found.files]
    if touched:
        found.messages |= {r[0] for r in await database.fetch("messages_of_files", touched)}
    return found


async def _renamed(database: Database, kind: str, subjects: set[str], dirty: Dirty) -> set[str]:
    """Those whose name may be another by an event of this batch.

    An event after which PostgreSQL held the same name reaches no message. Where it folded several into one change, that
    is said to be the last one's, whose batch is this one or is still to come.
    """
    if not subjects:
        return set()
    rows = await database.fetch("last_name_changes", kind, sorted(subjects))
    return subjects - {subject for subject, event_id in rows if event_id not in dirty.named_by[subject]}


class _Spreading:
    """Takes what names reach into a batch while there is room; a subject for which there is none becomes a job."""

    def __init__(self, database: Database, found: Reach, inline_max: int) -> None:
        self._database = database
        self._found = found
        self._inline_max = inline_max
        self._room = TOGETHER * inline_max
        self._reads = READS * inline_max

    async def taken(
        self, kind: str, query: str, subjects: Iterable[str], is_wanted: Callable[[asyncpg.Record], bool] | None = None
    ) -> list[asyncpg.Record]:
        """The wanted ones of a statement's rows, of all subjects that do not become jobs."""
        taken: list[asyncpg.Record] = []
        waiting = sorted(one for one in subjects if (kind, one) not in self._found.jobs)
        while waiting:
            some, waiting = waiting[:SUBJECTS_AT_ONCE], waiting[SUBJECTS_AT_ONCE:]
            if self._reads < 0:
                self._found.jobs |= {(kind, subject) for subject in some}
                continue
            held: dict[str, list[asyncpg.Record]] = {}
            for row in await self._database.fetch(query, some, self._inline_max + 1):
                held.setdefault(row["subject"], []).append(row)
            for subject, rows in sorted(held.items(), key=lambda item: (len(item[1]), item[0])):
                self._reads -= len(rows)
                wanted = rows if is_wanted is None else [row for row in rows if is_wanted(row)]
                if len(rows) > self._inline_max or len(wanted) > self._room:
                    self._found.jobs.add((kind, subject))
                else:
                    self._room -= len(wanted)
                    taken += wanted
        return taken


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
