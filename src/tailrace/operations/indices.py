"""What an operator does with the search indices: look, rebuild beside the live ones, switch, go back, move.

Nothing here changes what is searched but `switch` and `roll_back`; every step may be repeated after a crash.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
from elasticsearch import ApiError, TransportError

from tailrace.addresses import resolve
from tailrace.consumers.search.beside import make_tools, perform
from tailrace.consumers.search.indices import connect
from tailrace.consumers.search.jobs import Job, Tools, claim, fail
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.rebuilding import building
from tailrace.errors import NotFoundError, PreconditionError, TailraceError, UnreachableError, UsageError
from tailrace.projections.documents import ALIASES
from tailrace.settings import Settings

POLL_S = 0.5

Watch = Callable[[int, str], None]
"""Told (documents done, step)."""


@dataclass(frozen=True, slots=True)
class Overview:
    """State of the indices. `jobs` are those that are not done, and those that failed."""

    generations: tuple[dict[str, Any], ...]
    routes: tuple[dict[str, Any], ...]
    jobs: tuple[dict[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"generations": list(self.generations), "routes": list(self.routes), "jobs": list(self.jobs)}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A generation that was built: how many documents were compared, and how many of them had to be written again."""

    alias: str
    generation: int
    compared: int
    mended: int


@asynccontextmanager
async def _opened(settings: Settings, watch: Watch = lambda _done, _step: None) -> AsyncIterator[Tools]:
    done = 0

    def count(job: Job, documents: int) -> None:
        nonlocal done
        done += documents
        watch(done, "comparing" if "comparison" in job.stored else "copying")

    client = connect(resolve(settings).elasticsearch, settings.elasticsearch)
    database = Database(resolve(settings).postgres, settings.postgres, "tailrace indices")
    try:
        yield make_tools(client, database, settings.elasticsearch, count)
    except (ApiError, TransportError) as error:
        raise UnreachableError(f"elasticsearch: {type(error).__name__}", fix="tailrace doctor") from error
    except asyncpg.UndefinedTableError as error:
        raise PreconditionError("the database has no tables yet", fix="tailrace db migrate") from error
    except (OSError, asyncpg.PostgresConnectionError) as error:
        raise UnreachableError(f"PostgreSQL: {type(error).__name__}", fix="tailrace doctor") from error
    finally:
        await database.close()
        await client.close()


async def overview(settings: Settings) -> Overview:
    """What there is and what is going on."""
    async with _opened(settings) as tools:
        layout = await tools.layouts.read()
        generations = [dict(row) for row in await tools.database.fetch("generations")]
        jobs = [dict(row) for row in await tools.database.fetch("jobs")]
    routes = [{"workspace_id": w, **route._asdict()} for w, route in sorted(layout.routes.items())]
    open_jobs = [{**job, "position": orjson.loads(job["position"])} for job in jobs if job["state"] != "done"]
    return Overview(tuple(generations), tuple(routes), tuple(open_jobs))


async def create(settings: Settings) -> None:
    """Make templates, indices and aliases now, instead of with a worker's first batch."""
    async with _opened(settings) as tools:
        await tools.layouts.current()


async def rebuild(settings: Settings, alias: str, watch: Watch = lambda _done, _step: None) -> Rebuilt:
    """Build a new generation of an alias's indices from PostgreSQL beside the live one, and compare the two.

    Goes on where an earlier attempt stopped; where a worker is at it, waits for it. Readers notice nothing until
    `switch`. Raises `UsageError` for another alias.
    """
    _known(alias)
    async with _opened(settings, watch) as tools:
        job = await claim(tools, _owner(), "rebuild", alias)
        if job is None and not await _is_open(tools, alias):
            await tools.database.fetch("request_job", "rebuild", alias)
            job = await claim(tools, _owner(), "rebuild", alias)
        if job is not None:
            try:
                await perform(tools, job, settings.elasticsearch)
            except TailraceError as error:
                await fail(tools, job, str(error))
                raise
        stored = await _ended(tools, alias, watch)
    return Rebuilt(alias, stored["generation"], stored["compared"], stored["mended"])


async def _is_open(tools: Tools, alias: str) -> bool:
    jobs = await tools.database.fetch("jobs")
    return any(j["kind"] == "rebuild" and j["subject"] == alias and j["state"] in {"waiting", "running"} for j in jobs)


async def _ended(tools: Tools, alias: str, watch: Watch) -> Any:
    while True:
        rows = [r for r in await tools.database.fetch("jobs") if (r["kind"], r["subject"]) == ("rebuild", alias)]
        if rows and rows[0]["state"] == "failed":
            raise TailraceError(f"the rebuild of {alias} failed: {rows[0]['reason']}", fix="see the worker's log")
        if rows and rows[0]["state"] == "done":
            return orjson.loads(rows[0]["position"])
        watch(rows[0]["documents"] if rows else 0, "a worker is at it")
        await asyncio.sleep(POLL_S)


async def switch(settings: Settings, alias: str) -> int:
    """Show the generation that was built, in one step; the one before is kept, and written, to go back to.

    Returns its number. Raises `PreconditionError` while it is not complete.
    """
    _known(alias)
    async with _opened(settings) as tools:
        if await _is_open(tools, alias):
            raise PreconditionError(f"{alias} is still being rebuilt", fix=f"tailrace indices rebuild {alias}")
        number = building(await tools.layouts.read(), alias)
        await _show(tools, alias, number)
        return number


async def roll_back(settings: Settings, alias: str) -> int:
    """Show the newest kept generation again; returns its number. Raises `NotFoundError` where none is kept."""
    _known(alias)
    async with _opened(settings) as tools:
        layout = await tools.layouts.read()
        kept = [number for number, state in layout.generations[alias] if state == "kept"]
        if not kept:
            raise NotFoundError(f"no earlier generation of {alias} is kept")
        await _show(tools, alias, max(kept))
        return max(kept)


async def _show(tools: Tools, alias: str, number: int) -> None:
    async with tools.database.transaction():
        await tools.database.fetch("keep_live", alias)
        await tools.database.fetch("show_generation", alias, number)
        await tools.database.fetch("raise_layout_epoch")
    tools.layouts.forget()
    await tools.indices.refresh()
    await tools.layouts.current()


async def drop(settings: Settings, alias: str) -> list[int]:
    """Give up every generation but the live one, finished or not; returns their numbers."""
    _known(alias)
    async with _opened(settings) as tools:
        layout = await tools.layouts.read()
        numbers = [number for number, state in layout.generations[alias] if state != "live"]
        existing = await tools.indices.existing(layout.prefix)
        for number in numbers:
            async with tools.database.transaction():
                # First nobody writes there any more, then it goes.
                await tools.database.fetch("drop_generation", alias, number)
                await tools.database.fetch("raise_layout_epoch")
            kind = f"{layout.prefix}{alias}_"
            await tools.indices.drop([n for n in existing if n.startswith(kind) and layout.generation(n) == number])
        await tools.layouts.current()
        return numbers


async def mark_high_volume(settings: Settings, workspace_id: str, *, is_high_volume: bool) -> None:
    """Give a workspace monthly indices, or take them away; a worker moves its messages while they are searched."""
    async with _opened(settings) as tools:
        await tools.database.fetch("mark_high_volume", workspace_id, is_high_volume)
        await tools.database.fetch("request_job", "move", workspace_id)


async def after_restore(settings: Settings) -> None:
    """Say that the database was restored to an earlier state: from now on every version is above all that were.

    Every document is then written again by the refills that this asks for.
    """
    async with _opened(settings) as tools:
        await tools.database.fetch("raise_history_epoch")
        for alias in ALIASES:
            await tools.database.fetch("request_job", "refill", alias)


def _known(alias: str) -> None:
    if alias not in ALIASES:
        raise UsageError(f"there is no alias {alias}", fix=f"one of {', '.join(ALIASES)}")


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:indices"
