"""What searches find, against what they should: everything behind the three aliases, read to the end.

The client is imported where documents are read: it takes half a second, and a comparison of tables has no need of it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError, UnreachableError
from tailrace.settings import Settings
from tailrace.verification.compare import TableReport, compare_rows
from tailrace.verification.fold_documents import FILES, MESSAGES, USERS, search_documents
from tailrace.verification.fold_log import Key, Table
from tailrace.verification.tables import TableSpec

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

PAGE: Final = 2_000
IDS_MAX: Final = 1_000
"""Documents that are asked for by name at once."""
KEEP_ALIVE: Final = "2m"
TIMEOUT_S: Final = 60


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _list(value: list[Any] | None) -> list[Any]:
    return value or []


def _sorted(value: list[Any] | None) -> list[Any]:
    return sorted(value or ())


def _spec(name: str, key: str, columns: str, **readers: Any) -> TableSpec:
    return TableSpec(name, "collab", (), tuple(key.split()), tuple(columns.split()), readers=readers)


SPECS: Final[Mapping[str, TableSpec]] = {
    spec.name: spec
    for spec in (
        _spec(
            MESSAGES,
            "message_id",
            "workspace_id channel_id user_id username channel_name message_type thread_id mentions display_name content"
            " created_at updated_at has_files reaction_count",
            mentions=_list,
            created_at=_time,
            updated_at=_time,
        ),
        _spec(
            FILES,
            "file_id",
            "workspace_id mime_type uploader_id channel_ids tags filename uploader_name extracted_text file_size"
            " created_at",
            channel_ids=_sorted,
            tags=_list,
            created_at=_time,
        ),
        _spec(
            USERS,
            "workspace_id user_id",
            "username email department status display_name title bio last_active",
            last_active=_time,
        ),
    )
}
"""One comparison for each alias, with the contract's fields."""


def compare_search(
    settings: Settings, tables: Mapping[str, Table], wanted: Sequence[str], *, limit: int
) -> dict[str, TableReport]:
    """Compare the named aliases ("search.messages" …) with the folded tables; everything written is refreshed first.

    Raises `UnreachableError` where Elasticsearch does not answer, `PreconditionError` where an alias is missing.
    """
    expected = search_documents(tables, datetime.now(UTC))
    with Searched(settings) as searched:
        return {
            name: compare_rows(SPECS[name], expected[name], searched.documents(name), limit=limit) for name in wanted
        }


class Searched:
    """What is behind the aliases, for reading. Raises as `compare_search` does."""

    def __init__(self, settings: Settings) -> None:
        from elasticsearch import Elasticsearch

        self._prefix = settings.elasticsearch.index_prefix
        self._client = Elasticsearch(resolve(settings).elasticsearch, request_timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def documents(self, name: str, keys: Collection[Key] | None = None) -> Iterator[Sequence[Any]]:
        """Every document behind an alias ("search.messages"), or those with these keys; what is written is seen."""
        from elasticsearch import ApiError, NotFoundError, TransportError

        alias = f"{self._prefix}{name.removeprefix('search.')}"
        try:
            self._client.indices.refresh(index=alias)
            if keys is None:
                yield from _rows(self._client, alias, SPECS[name], {"match_all": {}})
                return
            ids = [":".join(map(str, key)) for key in keys]
            for first in range(0, len(ids), IDS_MAX):
                query = {"ids": {"values": ids[first : first + IDS_MAX]}}
                yield from _rows(self._client, alias, SPECS[name], query)
        except NotFoundError as error:
            raise PreconditionError(f"{alias}: there is no such alias", fix="tailrace worker run search") from error
        except (ApiError, TransportError) as error:
            raise UnreachableError(f"elasticsearch: {type(error).__name__}", fix="tailrace doctor") from error


def _rows(client: "Elasticsearch", alias: str, spec: TableSpec, query: dict[str, Any]) -> Iterator[Sequence[Any]]:
    """The documents behind the alias, key first; a document that is found twice comes twice."""
    from elasticsearch import NotFoundError

    point = client.open_point_in_time(index=alias, keep_alive=KEEP_ALIVE)["id"]
    after: list[Any] | None = None
    try:
        while True:
            page = client.search(
                pit={"id": point, "keep_alive": KEEP_ALIVE},
                query=query,
                size=PAGE,
                sort=["_shard_doc"],
                search_after=after,
                track_total_hits=False,
            )
            point, hits = page["pit_id"], page["hits"]["hits"]
            for hit in hits:
                source = hit["_source"]
                yield [*hit["_id"].split(":"), *(source.get(name) for name in spec.columns)]
            if len(hits) < PAGE:
                return
            after = hits[-1]["sort"]
    finally:
        with suppress(NotFoundError):
            client.close_point_in_time(id=point)
