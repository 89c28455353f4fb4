"""Templates, indices and aliases as the layout wants them. Every step may be repeated."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, Final

import structlog
from elasticsearch import (
    ApiError,
    AsyncElasticsearch,
    AuthorizationException,
    BadRequestError,
    OrjsonSerializer,
    TransportError,
)

from tailrace.consumers.search.bulk import OutageError
from tailrace.consumers.search.layout import Layout, alias_of
from tailrace.projections.documents import ALIASES
from tailrace.settings import ElasticsearchSettings

log = structlog.get_logger()

TEMPLATE_PRIORITY: Final = 200
CREATED_AT_ONCE: Final = 4
PURGE_PAGE: Final = 1_000
KEEP_ALIVE: Final = "2m"


def connect(url: str, settings: ElasticsearchSettings) -> AsyncElasticsearch:
    """A client that tries nothing again by itself: what is sent again, and when, is decided item by item."""
    return AsyncElasticsearch(
        url,
        max_retries=0,
        retry_on_timeout=False,
        request_timeout=settings.request_timeout_s,
        serializer=OrjsonSerializer(),
    )


def template(alias: str, settings: ElasticsearchSettings) -> dict[str, Any]:
    """Index template of one kind of document.

    Indices are never made by a write: one that came to be that way would be missing from the alias.
    """
    mappings = json.loads((files("tailrace.consumers.search") / "mappings" / f"{alias}.json").read_text("utf-8"))
    replicas = settings.replicas
    if replicas is None:
        replicas = 0 if settings.url is None else 1
    return {
        "index_patterns": [f"{settings.index_prefix}{alias}_*"],
        "priority": TEMPLATE_PRIORITY,
        "allow_auto_create": False,
        "template": {
            "settings": {
                "number_of_shards": settings.shards,
                "number_of_replicas": replicas,
                "refresh_interval": f"{settings.refresh_interval_s}s",
            },
            "mappings": mappings,
        },
    }


class Indices:
    """Brings the indices of one instance in line with a layout."""

    def __init__(self, client: AsyncElasticsearch, settings: ElasticsearchSettings) -> None:
        self._client = client
        self._settings = settings

    async def ensure(self, layout: Layout, also: Collection[str] = ()) -> list[str]:
        """Make what is missing and show what should be seen; returns the full names of the indices that were made.

        `also` are full names beyond the standing ones: months that a document is the first of.
        """
        for alias in ALIASES:
            wanted = template(alias, self._settings)
            await self._client.indices.put_index_template(name=f"{layout.prefix}{alias}", **wanted)
        existing = await self.existing(layout.prefix)
        names = [name for _, name in layout.standing()] + list(also)
        missing = sorted({name for name in names if name not in existing})
        gate = asyncio.Semaphore(CREATED_AT_ONCE)

        async def make(name: str) -> None:
            async with gate:
                await self._make(layout, name)

        await asyncio.gather(*map(make, missing))
        await self.show(layout)
        return missing

    async def _make(self, layout: Layout, name: str) -> None:
        alias = alias_of(name, layout.prefix)
        shown = layout.shown(name, alias)
        aliases: dict[str, Any] = {} if shown is None else {self.alias(alias): {"filter": shown}}
        try:
            # With its alias at once: between two requests its documents would be found nowhere.
            await self._client.indices.create(index=name, aliases=aliases)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise
        else:
            log.info("index_made", index=name)

    def alias(self, kind: str) -> str:
        """Full name of the alias that readers search for a kind of document."""
        return f"{self._settings.index_prefix}{kind}"

    async def cluster(self) -> str | None:
        """Which cluster answers, by its own id; None where that may not be asked."""
        try:
            answer = await self._client.cluster.state(metric="version", filter_path="cluster_uuid")
            return str(answer["cluster_uuid"])
        except AuthorizationException:
            return None

    async def existing(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Aliases with their filters by full name of every index of this instance."""
        found = await self._client.indices.get(
            index=",".join(f"{prefix}{alias}_*" for alias in ALIASES),
            ignore_unavailable=True,
            allow_no_indices=True,
            features="aliases",
        )
        return {name: state["aliases"] for name, state in found.items()}

    async def show(self, layout: Layout) -> None:
        """Set what readers see, for all indices in one step: no search meets a state in between."""
        actions: list[dict[str, Any]] = []
        existing = await self.existing(layout.prefix)
        for name, aliases in sorted(existing.items()):
            actions += _contract_name(layout, name, aliases, existing)
            alias = alias_of(name, layout.prefix)
            full, shown = self.alias(alias), layout.shown(name, alias)
            held = aliases.get(full)
            if shown is not None and (held is None or held.get("filter") != shown):
                actions.append({"add": {"index": name, "alias": full, "filter": shown}})
            elif shown is None and held is not None:
                actions.append({"remove": {"index": name, "alias": full}})
        if actions:
            await self._client.indices.update_aliases(actions=actions)
            log.info("aliases_set", actions=len(actions))

    async def refresh(self) -> None:
        """Make everything written so far visible to searches."""
        names = ",".join(self.alias(alias) for alias in ALIASES)
        await self._client.indices.refresh(index=names, ignore_unavailable=True)

    async def drop(self, names: Collection[str]) -> None:
        """Delete indices by their full names; those that are not there are passed over."""
        for name in sorted(names):
            await self._client.indices.delete(index=name, ignore_unavailable=True)
            log.info("index_dropped", index=name)

    async def count(self, names: Collection[str], workspace_id: str, before: str) -> int:
        """Number of a workspace's live messages in these indices that were created before an RFC 3339 time."""
        query = {
            "bool": {"filter": [{"term": {"workspace_id": workspace_id}}, {"range": {"created_at": {"lt": before}}}]}
        }
        await self._client.indices.refresh(index=",".join(names), ignore_unavailable=True)
        answer = await self._client.count(index=",".join(names), query=query, ignore_unavailable=True)
        return int(answer["count"])

    async def hold_refresh(self, names: Collection[str], *, held: bool) -> None:
        """Let nothing that is written become visible in these indices, or as their template says again."""
        interval = "-1" if held else f"{self._settings.refresh_interval_s}s"
        await self._client.indices.put_settings(
            index=",".join(names), settings={"refresh_interval": interval}, ignore_unavailable=True
        )

    async def refresh_indices(self, names: Collection[str]) -> None:
        """Make everything written so far to these indices visible."""
        await self._client.indices.refresh(index=",".join(names), ignore_unavailable=True)

    async def purge(self, index: str, workspace_id: str) -> AsyncIterator[int]:
        """Delete a workspace's messages from an index that does not show them any more; gives the number of each page.

        Raises `OutageError` where Elasticsearch deletes none of them.
        """
        while True:
            await self._client.indices.refresh(index=index)
            found = deleted = 0
            async for hits in self._pages(index, {"term": {"workspace_id": workspace_id}}):
                found += len(hits)
                deleted += await self._delete(index, hits)
                yield len(hits)
            if not found:
                return
            if not deleted:
                raise OutageError

    async def _pages(self, index: str, query: dict[str, Any]) -> AsyncIterator[list[Any]]:
        """What is found at one moment, page by page: each goes on behind the one before, over nothing twice."""
        point = (await self._client.open_point_in_time(index=index, keep_alive=KEEP_ALIVE))["id"]
        after: list[Any] | None = None
        try:
            while True:
                page = await self._client.search(
                    pit={"id": point, "keep_alive": KEEP_ALIVE},
                    size=PURGE_PAGE,
                    query=query,
                    source=False,
                    version=True,
                    sort=["_shard_doc"],
                    search_after=after,
                    track_total_hits=False,
                )
                point, hits = page["pit_id"], page["hits"]["hits"]
                if not hits:
                    return
                yield hits
                after = hits[-1]["sort"]
        finally:
            with suppress(ApiError, TransportError):
                await self._client.close_point_in_time(id=point)

    async def _delete(self, index: str, hits: Sequence[Any]) -> int:
        operations = [
            {"delete": {"_id": hit["_id"], "version": hit["_version"], "version_type": "external_gte"}} for hit in hits
        ]
        answer = await self._client.bulk(index=index, operations=operations, filter_path="items.*.status")
        # What was written again meanwhile is found again in the next round.
        return sum(item["delete"]["status"] in {200, 404, 409} for item in answer["items"])

    async def versions(self, index: str, ids: Sequence[str]) -> dict[str, int]:
        """External versions of the documents that an index holds, tombstones included."""
        answer = await self._client.mget(index=index, ids=ids, source=False, filter_path="docs._id,docs._version")
        return {doc["_id"]: doc["_version"] for doc in answer.get("docs", []) if "_version" in doc}


def _contract_name(layout: Layout, name: str, held: Collection[str], existing: Collection[str]) -> list[dict[str, Any]]:
    """Give the live index of a later generation the contract's name as an alias, once no index is called so."""
    contract, alias = layout.contract_name(name), alias_of(name, layout.prefix)
    if alias != "messages" or contract in existing:
        return []
    wanted = layout.generation(name) == layout.live(alias)
    if wanted == (contract in held):
        return []
    return [{"add" if wanted else "remove": {"index": name, "alias": contract}}]
