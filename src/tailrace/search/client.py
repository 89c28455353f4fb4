"""The async client: every search is somebody's, in a workspace, and finds what that person may see at that moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from elasticsearch import ApiError, AsyncElasticsearch, TransportError
from elasticsearch import NotFoundError as MissingIndexError

from tailrace.addresses import resolve
from tailrace.errors import InvalidInputError, PreconditionError, UnreachableError
from tailrace.search.access import Access, Directory
from tailrace.search.grammar import Channel, Part, Person, Query, parse
from tailrace.search.requests import body, order, request
from tailrace.search.results import Hit, Kind, Page, Sort, Span, cursor, read_cursor
from tailrace.settings import Settings

SIZE_MAX: Final = 100
_ALIAS: Final = {Kind.MESSAGES: "messages", Kind.FILES: "files", Kind.PEOPLE: "users"}


@dataclass(frozen=True, slots=True)
class Searcher:
    """Who searches, and where: ids."""

    workspace_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Options:
    """What is searched and how much of it is wanted. `after` is the `next` of the page before."""

    kind: Kind = Kind.MESSAGES
    sort: Sort = Sort.RELEVANCE
    size: int = 20
    after: str | None = None


DEFAULTS: Final = Options()


class SearchClient:
    """Searches for one instance. Use as `async with await SearchClient.connect(settings) as client`."""

    def __init__(self, directory: Directory, elasticsearch: AsyncElasticsearch, index_prefix: str) -> None:
        self._directory = directory
        self._elasticsearch = elasticsearch
        self._prefix = index_prefix

    @classmethod
    async def connect(cls, settings: Settings) -> "SearchClient":
        """Connect to PostgreSQL's primary and to Elasticsearch. Raises `UnreachableError`."""
        addresses = resolve(settings)
        url = addresses.elasticsearch
        directory = await Directory.connect(addresses.postgres, settings.postgres)
        timeout_s = settings.elasticsearch.request_timeout_s
        return cls(directory, AsyncElasticsearch(url, request_timeout=timeout_s), settings.elasticsearch.index_prefix)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._directory.close()
        await self._elasticsearch.close()

    async def workspace(self, name: str) -> str:
        """Id of a workspace by id or slug. Raises `NotFoundError`."""
        return await self._directory.called("workspace", name)

    async def user(self, name: str) -> str:
        """Id of a user by id, username or e-mail. Raises `NotFoundError`."""
        return await self._directory.called("user", name)

    async def search(
        self, query: str, searcher: Searcher, options: Options = DEFAULTS, *, now: datetime | None = None
    ) -> Page:
        """One page of what the searcher may see in the workspace and the query means.

        `now` (aware) decides what "today" is. Who may search nothing gets an empty page with a `reason`. A page
        may hold fewer hits than asked for although more follow: what was deleted a moment ago is left out. Raises
        `QueryError`, `NotFoundError` for a person or channel that the query names, `InvalidInputError` for the cursor
        of another search, `UnreachableError`.
        """
        if not 1 <= options.size <= SIZE_MAX:
            raise InvalidInputError(f"a page has 1 to {SIZE_MAX} hits")
        access = await self._directory.access(searcher.workspace_id, searcher.user_id)
        parsed = parse(query, access.today(now or datetime.now(UTC)))
        if access.refusal is not None:
            return Page(options.kind, 0, reason=access.refusal)
        kind, size = options.kind, options.size
        identity = f"{query}\n{searcher.workspace_id}\n{searcher.user_id}\n{kind}\n{options.sort}"
        position = None if options.after is None else read_cursor(options.after, identity)
        companions = await self._companions(kind, access)
        clause = request(kind, parsed, access, await self._names(parsed, access), companions)
        found = await self._ask(kind, body(kind, clause, order(kind, parsed, options.sort), size, position))
        return await self._page(kind, access, found, identity, size)

    async def _companions(self, kind: Kind, access: Access) -> Sequence[str] | None:
        return await self._directory.companions(access) if kind is Kind.PEOPLE and access.is_guest else None

    async def _names(self, query: Query, access: Access) -> dict[Part, Sequence[str]]:
        names: dict[Part, Sequence[str]] = {}
        for part in query.parts:
            if isinstance(part, Person):
                names[part] = await self._directory.people(access, part)
            elif isinstance(part, Channel):
                names[part] = await self._directory.channels(access, part)
        return names

    async def _ask(self, kind: Kind, asked: dict[str, Any]) -> Any:
        alias = f"{self._prefix}{_ALIAS[kind]}"
        try:
            # Scores by the words' frequency in all shards: small workspaces fill them unevenly.
            return await self._elasticsearch.search(index=alias, search_type="dfs_query_then_fetch", **asked)
        except MissingIndexError as error:
            raise PreconditionError(f"there is no alias {alias}", fix="tailrace worker run search") from error
        except (ApiError, TransportError) as error:
            raise UnreachableError(f"elasticsearch: {type(error).__name__}", fix="tailrace doctor") from error

    async def _page(self, kind: Kind, access: Access, found: Any, identity: str, size: int) -> Page:
        raw = found["hits"]["hits"]
        still = await self._directory.still(kind, access, [hit["_id"] for hit in raw])
        hits = tuple(_hit(hit) for hit in raw if hit["_id"] in still)
        following = cursor(raw[-1]["sort"], identity) if len(raw) == size else None
        return Page(kind, found["hits"]["total"]["value"], hits, following)


def _hit(hit: dict[str, Any]) -> Hit:
    marked = [Span.read(text) for texts in hit.get("highlight", {}).values() for text in texts]
    return Hit(hit["_id"], hit.get("_score"), hit["_source"], tuple(marked))
