"""Caches and indices at a switch: prepared beside the live ones before it, finished after it by whoever comes first.

The switch itself raises the epochs of both, in its transaction. What is left then may be done by a worker, by the
command that switched or by the next one, any number of times.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Final, Self

import structlog
from elasticsearch import ApiError, TransportError

from tailrace.addresses import resolve
from tailrace.consumers.search.beside import make_tools, perform
from tailrace.consumers.search.indices import connect
from tailrace.consumers.search.jobs import Tools, claim
from tailrace.consumers.search.reading import Database
from tailrace.errors import PreconditionError, UnreachableError
from tailrace.operations import caches, indices
from tailrace.operations.database import connection
from tailrace.operations.jobs import process_owner
from tailrace.projections.documents import ALIASES
from tailrace.rebuilding.versions import Versions
from tailrace.settings import Settings

log = structlog.get_logger()

POLL_S: Final = 0.2
CACHES_WAIT_S: Final = 60.0
"""A worker that fills the caches under the new generation gets so long before the command gives up waiting."""

Watch = Callable[[str, int, int | None], None]
"""Told (step, done, total); total None is unknown. What it raises stops the work at a safe point."""


def search_is_used(settings: Settings) -> bool:
    """Whether indices were ever made: where nobody indexes there is nothing to follow."""
    return _is_used(settings, "search")


def caches_are_used(settings: Settings) -> bool:
    """Whether a worker has ever kept the caches; the first one there is fills them anyway."""
    return _is_used(settings, "caches")


def _is_used(settings: Settings, what: str) -> bool:
    with connection(settings) as conn:
        return bool(Versions(conn, settings).run("what_is_used")[0][what])


def build_indices(settings: Settings, watch: Watch) -> dict[str, int]:
    """Fill a new generation of every alias beside the live one; the generation built, by alias. Goes on if begun."""
    built = built_indices(settings)
    for alias in ALIASES:
        if alias not in built:

            def count(done: int, step: str, alias: str = alias) -> None:
                watch(f"{step} {alias}", done, None)

            built[alias] = asyncio.run(indices.rebuild(settings, alias, count)).generation
    return built


def built_indices(settings: Settings) -> dict[str, int]:
    """Generations that are complete and not shown yet, by alias."""
    with connection(settings) as conn:
        rows = Versions(conn, settings).run("built_generations")
    return {row["alias"]: row["generation"] for row in rows}


def drop_indices(settings: Settings, generations: dict[str, int]) -> None:
    """Give up these generations, by alias, unless they are shown."""
    if not generations:
        return

    async def give_up(aliases: Aliases) -> None:
        tools = aliases.tools
        layout = await tools.layouts.read()
        for alias, number in generations.items():
            async with tools.database.transaction():
                gone = await tools.database.fetch("drop_generation", alias, number)
                await tools.database.fetch("raise_layout_epoch")
            if gone:  # nobody writes there any more
                names = await tools.indices.existing(layout.prefix)
                kind = f"{layout.prefix}{alias}_"
                await tools.indices.drop([n for n in names if n.startswith(kind) and layout.generation(n) == number])

    with Aliases(settings) as aliases:
        aliases.run(give_up(aliases))


class Aliases:
    """Shows what the layout says. Opened before a switch, so that nothing is left to be set up behind it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runner = asyncio.Runner()
        self._tools: Tools | None = None

    def __enter__(self) -> Self:
        self._tools = self._runner.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._close())
        finally:
            self._runner.close()

    def run(self, step: Coroutine[None, None, None]) -> None:
        """Run a step in the loop that the connections belong to."""
        self._runner.run(step)

    def refresh(self, shown: dict[str, int]) -> None:
        """Make what was written to these generations visible to searches."""
        self._runner.run(self._refresh(shown))

    def show(self, shown: dict[str, int]) -> None:
        """Set the aliases in one step, with everything that was written visible before and after."""

        async def step() -> None:
            await self._refresh(shown)
            self.tools.layouts.forget()
            await self.tools.layouts.current()
            await self._refresh(shown)

        self._runner.run(step())

    def refill(self, watch: Watch) -> None:
        """Write every document under the new epoch, unless a worker is at it: then wait for it."""
        self._runner.run(self._refill(watch))

    async def _open(self) -> Tools:
        client = connect(resolve(self._settings).elasticsearch, self._settings.elasticsearch)
        self._client = client
        database = Database(resolve(self._settings).postgres, self._settings.postgres, "tailrace rebuild")
        tools = make_tools(client, database, self._settings.elasticsearch)
        await tools.layouts.current()
        return tools

    async def _close(self) -> None:
        await self.tools.database.close()
        await self._client.close()

    async def _refresh(self, shown: dict[str, int]) -> None:
        tools = self.tools
        layout = await tools.layouts.read()
        names = [name for name in await tools.indices.existing(layout.prefix) if _is_of(layout.generation(name), shown)]
        if names:
            await self._client.indices.refresh(index=",".join(names), ignore_unavailable=True)

    async def _refill(self, watch: Watch) -> None:
        tools, done = self.tools, 0

        def count(_job: object, documents: int) -> None:
            nonlocal done
            done += documents
            watch("documents", done, None)

        tools.watch = count
        for alias in ALIASES:
            while await self._is_open(alias):
                job = await claim(tools, process_owner(), "refill", alias)
                if job is None:
                    watch("documents", done, None)
                    await asyncio.sleep(POLL_S)
                else:
                    await perform(tools, job, self._settings.elasticsearch)

    async def _is_open(self, alias: str) -> bool:
        rows = await self.tools.database.fetch("jobs")
        return any(
            (row["kind"], row["subject"]) == ("refill", alias) and row["state"] in {"waiting", "running"}
            for row in rows
        )

    @property
    def tools(self) -> Tools:
        """What indices are worked on with."""
        if self._tools is None:
            raise AssertionError("used outside of its block")
        return self._tools


def _is_of(generation: int, shown: dict[str, int]) -> bool:
    return not shown or generation in shown.values()


def fill_caches(settings: Settings, watch: Watch) -> None:
    """Write every cached value under the generation that a switch opened, unless a worker does: then wait for it."""
    deadline = time.monotonic() + CACHES_WAIT_S
    while _caches_are_open(settings):
        try:
            asyncio.run(
                caches.rebuild(settings, watch=lambda stage, done, total: watch(f"caches: {stage}", done, total))
            )
        except PreconditionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


def _caches_are_open(settings: Settings) -> bool:
    with connection(settings) as conn:
        return bool(Versions(conn, settings).run("open_cache_rebuilds"))


def finish(settings: Settings, watch: Watch = lambda *_: None) -> bool:
    """Finish what switches left to be done for caches and indices; whether there was anything.

    Raises `UnreachableError` where a store does not answer: then it is done later, by its worker or by calling again.
    """
    with connection(settings) as conn:
        open_ones = [row["cutover_id"] for row in Versions(conn, settings).run("unfinished_cutovers")]
    if not open_ones:
        return False
    if caches_are_used(settings):
        fill_caches(settings, watch)
    if search_is_used(settings):
        try:
            with Aliases(settings) as aliases:
                aliases.show({})
                aliases.refill(watch)
        except (ApiError, TransportError) as error:
            raise UnreachableError(f"elasticsearch: {type(error).__name__}", fix="tailrace doctor") from error
    with connection(settings) as conn:
        Versions(conn, settings).run("finish_cutovers", max(open_ones))
    log.info("cutover_finished", cutover=max(open_ones))
    return True
