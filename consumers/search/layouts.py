"""The layout as PostgreSQL holds it, read again when its epoch moved, with the indices made before they are used."""

import asyncio
from collections.abc import Collection

import orjson
import structlog

from tailrace.consumers.search.indices import Indices
from tailrace.consumers.search.layout import Layout, Route
from tailrace.consumers.search.reading import Database
from tailrace.projections.documents import ALIASES
from tailrace.settings import ElasticsearchSettings

log = structlog.get_logger()


class Layouts:
    """Gives the current layout to one writer, which may read ahead of what it writes: each step waits for its turn."""

    def __init__(self, database: Database, indices: Indices, settings: ElasticsearchSettings) -> None:
        self._database = database
        self._indices = indices
        self._prefix = settings.index_prefix
        self._turn = asyncio.Lock()
        self._known: Layout | None = None
        self._ensured: Layout | None = None
        self._cluster: str | None = None
        """What was written to last, by whomever, as the layout was looked at."""
        self._may_ask = True

    def forget(self) -> None:
        """Read it again next time."""
        self._known = None

    def discard(self) -> None:
        """Drop the connection too."""
        self._database.discard()
        self.forget()

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    async def current(self) -> Layout:
        """The layout now; its standing indices exist and show what they should."""
        async with self._turn:
            return await self._current()

    async def _current(self) -> Layout:
        if self._known is not None:
            rows = await self._database.fetch("read_layout_epoch")
            self._cluster = rows[0]["cluster"]
            if rows[0]["layout_epoch"] == self._known.epoch:
                return self._known
        layout = await self._read()
        if self._ensured is None or (layout.generations, layout.routes) != (
            self._ensured.generations,
            self._ensured.routes,
        ):
            layout = self._ensured = await self._make()
        self._known = layout
        return layout

    async def check_cluster(self) -> None:
        """Find out, between writing and moving a position, whether that was written where everything else is.

        Behind an address may be another cluster than before: another server took the port of one that was stopped, or
        that one came back. What it lacks nobody would know of, for positions have moved. So everything is filled again
        from PostgreSQL, and the epoch is raised, so that what was just written is written once more.
        """
        if not self._may_ask:
            return
        cluster = await self._indices.cluster()
        if cluster is None:
            self._may_ask = False
            log.warning("cluster_unknown", fix="let the account monitor the cluster; else another one is not noticed")
            return
        if cluster == self._cluster:
            return
        async with self._turn, self._database.transaction():
            changed = await self._database.fetch("note_cluster", cluster)
            if changed and changed[0]["cluster"] is not None:
                log.warning("other_cluster", was=changed[0]["cluster"], now=cluster)
                for alias in ALIASES:
                    await self._database.fetch("request_job", "refill", alias)
                await self._database.fetch("raise_layout_epoch")
                self._known = self._ensured = None

    async def read(self) -> Layout:
        """The layout as it is stored."""
        async with self._turn:
            return await self._read()

    async def _read(self) -> Layout:
        row = (await self._database.fetch("read_layout"))[0]
        self._cluster = row["cluster"]
        generations: dict[str, tuple[tuple[int, str], ...]] = dict.fromkeys(ALIASES, ())
        for alias, number, state in orjson.loads(row["generations"]):
            generations[alias] = (*generations[alias], (number, state))
        routes = {w: Route(route, moving_to) for w, route, moving_to in orjson.loads(row["routes"])}
        return Layout(self._prefix, row["layout_epoch"], row["history_epoch"], generations, routes)

    async def make(self, also: Collection[str] = ()) -> Layout:
        """Make missing indices and set what readers see; returns the layout by which that was done.

        An index that was lost is filled again from PostgreSQL.
        """
        async with self._turn:
            return await self._make(also)

    async def _make(self, also: Collection[str] = ()) -> Layout:
        async with self._database.transaction():
            # One at a time: of two that begin together, the second would take what the first is making for lost. And
            # read anew: by a layout from before the wait, aliases would go back to where a workspace has left.
            await self._database.fetch("lock_making")
            layout = await self._read()
            made = await self._indices.ensure(layout, also)
            if not made:
                return layout
            is_first = bool(await self._database.fetch("mark_made"))
            live = {name: alias for alias, name in layout.standing()}
            lost = {live[name] for name in made if name in live and name in self._shown(layout)}
            if not is_first:
                for alias in sorted(lost):
                    await self._database.fetch("request_job", "refill", alias)
        return layout

    @staticmethod
    def _shown(layout: Layout) -> set[str]:
        return {name for alias, name in layout.standing() if layout.shown(name, alias) is not None}

    async def raise_epoch(self) -> None:
        """Make every writer that is about to commit look again."""
        async with self._turn:
            await self._database.fetch("raise_layout_epoch")
        self.forget()
