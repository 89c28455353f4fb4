"""What somebody may search, asked of PostgreSQL at every search: a change of rights holds at once.

The primary is asked, not a replica, which may be behind. Public channels of the workspace for its members; private ones
and direct messages for their active members; guests only what they are active members of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from tailrace.errors import NotFoundError, UnreachableError
from tailrace.search.grammar import Channel, Person
from tailrace.settings import PostgresSettings
from tailrace.sql.catalog import queries, render, schema_names

COMPANIONS_MAX: Final = 60_000
POOL_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Access:
    """What one user may search in one workspace at this moment. `refusal` says why nothing; `zone` is an IANA name."""

    workspace_id: str
    user_id: str
    zone: str = "UTC"
    channel_ids: tuple[str, ...] = ()
    is_guest: bool = False
    refusal: str | None = None

    def today(self, now: datetime) -> Any:
        """The day of a moment in the searching person's zone."""
        try:
            return now.astimezone(ZoneInfo(self.zone)).date()
        except (ValueError, OSError, KeyError):
            return now.date()


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


class Directory:
    """Asks PostgreSQL who may see what and who is called how."""

    def __init__(self, pool: asyncpg.Pool, texts: Mapping[str, str]) -> None:
        self._pool = pool
        self._texts = texts

    @classmethod
    async def connect(cls, dsn: str, settings: PostgresSettings) -> "Directory":
        """Connect. Raises `UnreachableError`."""
        try:
            # No statement cache: behind PgBouncer in transaction mode a prepared statement may be gone.
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=POOL_MAX,
                statement_cache_size=0,
                timeout=settings.connect_timeout_s,
                command_timeout=settings.statement_timeout_ms / 1000,
                server_settings={"application_name": "tailrace search"},
            )
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            raise UnreachableError(f"PostgreSQL: {type(error).__name__}", fix="tailrace doctor") from error
        schemas = schema_names(settings)
        return cls(pool, {name: render(text, schemas) for name, text in queries("access").items()})

    async def close(self) -> None:
        """Give the connections back."""
        self._pool.terminate()

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        try:
            return await self._pool.fetch(self._texts[name], *arguments)
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
            raise UnreachableError(f"PostgreSQL: {type(error).__name__}", fix="tailrace doctor") from error

    async def access(self, workspace_id: str, user_id: str) -> Access:
        """What the user may search in the workspace now."""
        row = (await self._fetch("searcher", workspace_id, user_id))[0]
        if row["status"] is not None and row["status"] != "active":
            return Access(workspace_id, user_id, refusal="no active member of this workspace")
        if row["may_search"] is False:
            return Access(workspace_id, user_id, refusal="the workspace or the user is gone or suspended")
        # A membership nobody heard of gives no public channel, and ends no membership of a channel (ruling 6).
        is_guest = row["role"] in {None, "guest"}
        channels = await self._fetch("searchable_channels", workspace_id, user_id, not is_guest)
        if row["status"] is None and not channels:
            return Access(workspace_id, user_id, refusal="no active member of this workspace")
        return Access(workspace_id, user_id, row["timezone"], tuple(sorted(r[0] for r in channels)), is_guest)

    async def companions(self, access: Access) -> list[str]:
        """Ids of the people a guest knows: those of the channels that the guest may search."""
        return [r[0] for r in await self._fetch("companions", list(access.channel_ids), COMPANIONS_MAX)]

    async def people(self, access: Access, person: Person) -> list[str]:
        """Ids of the people meant. Raises `NotFoundError`, with a name that looks like it."""
        if person.who.lower() == "me":
            return [access.user_id]
        found = [r[0] for r in await self._fetch("people_called", access.workspace_id, person.who)]
        if found:
            return found
        names = [r[0] for r in await self._fetch("usernames_like", access.workspace_id, person.who)]
        near = get_close_matches(person.who.lower(), [] if access.is_guest else names, n=1)
        meant = f"did you mean {person.field}:@{near[0]}?" if near else "give a username, a name in quotes or an id"
        raise NotFoundError(f"{person.field}: nobody in this workspace is called {person.who}", fix=meant)

    async def channels(self, access: Access, channel: Channel) -> list[str]:
        """Ids of the channels meant among those the user may search: of others not even the name is told."""
        rows = await self._fetch("channels_named", list(access.channel_ids))
        wanted = channel.name.lower()
        found = [r[0] for r in rows if wanted in {r[0], (r["name"] or "").lower()}]
        if found:
            return found
        near = get_close_matches(wanted, [r["name"] for r in rows if r["name"]], n=1)
        meant = f"did you mean in:#{near[0]}?" if near else "give a channel's name or id"
        raise NotFoundError(f"in: there is no channel {channel.name} that you can see", fix=meant)

    async def still(self, kind: str, access: Access, ids: list[str]) -> set[str]:
        """Which of these documents may still be shown: an index is seconds behind."""
        if not ids:
            return set()
        if kind == "messages":
            return {r[0] for r in await self._fetch("still_visible", ids)}
        if kind == "files":
            asked = access.workspace_id, ids, access.user_id, list(access.channel_ids)
            return {r[0] for r in await self._fetch("still_files", *asked)}
        users = [name.partition(":")[2] for name in ids]
        found = await self._fetch("still_members", access.workspace_id, users)
        return {f"{access.workspace_id}:{r[0]}" for r in found}

    async def called(self, noun: str, text: str) -> str:
        """Id of the one `workspace` or `user` of that name. Raises `NotFoundError`, for several as well.

        An id is taken as it is: whether it means anybody, and what that one may see, the search says.
        """
        if _is_id(text):
            return text.lower()
        found = await self._fetch(f"{noun}_called", text)
        if len(found) != 1:
            many = "several are" if found else "none is"
            raise NotFoundError(f"{noun} {text}: {many} called so", fix=f"give the {noun}'s id")
        return str(found[0][0])
