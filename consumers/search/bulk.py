"""The bulk API, judged item by item. Every write is whole and versioned, so any of them may be sent again.

A version conflict means that somebody newer was there, which is as good as a write. Where a request was lost as a
whole it is unknown what of it arrived, and it is sent again.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from tailrace.consumers.search.layout import Write
from tailrace.settings import ElasticsearchSettings

log = structlog.get_logger()

CONFLICT: Final = 409
TOO_LARGE: Final = 413
PASSING: Final = frozenset({403, 408, 429, 500, 502, 503, 504})
"""403 is an index that was made read-only, as Elasticsearch does when its disk is full."""

WAIT_FIRST_S: Final = 0.1
WAIT_MAX_S: Final = 10.0
OUTAGE_S: Final = 30.0
"""When nothing was taken for so long, the caller is told; it may try again for as long as it likes."""

_ITEMS: Final = "errors,items.*.status,items.*.error.type,items.*.error.caused_by.type"


class Rejection(NamedTuple):
    """A write that Elasticsearch will never take. `reason` names kinds of errors; their texts quote the document."""

    write: Write
    reason: str


class MissingIndexError(Exception):
    """An index that a write is for does not exist."""

    def __init__(self, indices: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(indices)))
        self.indices = indices


class OutageError(Exception):
    """Elasticsearch took no write for `OUTAGE_S`."""


class BulkWriter:
    """Sends writes until each was taken, found too old, or rejected for what it is."""

    def __init__(
        self, client: AsyncElasticsearch, settings: ElasticsearchSettings, version_type: str = "external"
    ) -> None:
        self._client = client
        self._settings = settings
        self._version_type = version_type

    def over_equals(self) -> "BulkWriter":
        """A writer that also replaces what has the same version.

        Equal versions are equal documents, with one exception: where a workspace's messages were purged, Elasticsearch
        remembers each deletion for a minute under the version of what it deleted.
        """
        return BulkWriter(self._client, self._settings, "external_gte")

    async def send(self, writes: Sequence[Write]) -> list[Rejection]:
        """Write all, in requests of bounded size; returns what was rejected.

        Raises `MissingIndexError`, and `OutageError` when nothing was taken for too long; what was sent before may
        have arrived. Back-pressure: while Elasticsearch refuses, this waits, and with it the one who calls.
        """
        rejected: list[Rejection] = []
        for part in _parts(writes, self._settings):
            rejected += await self._send_part(part)
        return rejected

    async def _send_part(self, part: list[Write]) -> list[Rejection]:
        loop = asyncio.get_running_loop()
        rejected: list[Rejection] = []
        pause, since = WAIT_FIRST_S, loop.time()
        while part:
            again, refused = await self._request(part)
            rejected += refused
            if len(again) < len(part):
                pause, since = WAIT_FIRST_S, loop.time()
            part = again
            if part:
                if loop.time() - since > OUTAGE_S:
                    raise OutageError
                log.warning("index_retried", documents=len(part), pause_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, WAIT_MAX_S)
        return rejected

    async def _request(self, part: list[Write]) -> tuple[list[Write], list[Rejection]]:
        """Send once. Returns what to send again and what was rejected."""
        try:
            answer = await self._client.bulk(
                operations=_body(part, self._version_type),  # type: ignore[arg-type]  # bytes are sent as they are; the stub wants dicts
                filter_path=_ITEMS,
            )
        except ApiError as error:
            if error.status_code == TOO_LARGE and len(part) > 1:
                middle = len(part) // 2
                halves = [await self._request(half) for half in (part[:middle], part[middle:])]
                return halves[0][0] + halves[1][0], halves[0][1] + halves[1][1]
            if error.status_code not in PASSING:
                raise
            log.warning("bulk_refused", status=error.status_code)
            return part, []
        except TransportError as error:
            log.warning("bulk_lost", error=type(error).__name__)
            return part, []
        if not answer.get("errors"):
            return [], []
        return _judge(part, [next(iter(item.values())) for item in answer["items"]])


def _judge(part: list[Write], items: list[dict[str, Any]]) -> tuple[list[Write], list[Rejection]]:
    again: list[Write] = []
    rejected: list[Rejection] = []
    missing: set[str] = set()
    for write, item in zip(part, items, strict=True):
        status = item["status"]
        if status < 300 or status == CONFLICT:  # noqa: PLR2004 - HTTP's classes of answers
            continue
        kind = item.get("error", {}).get("type", "unknown")
        if kind == "index_not_found_exception":
            missing.add(write.target)
        elif status in PASSING:
            again.append(write)
        else:
            cause = item["error"].get("caused_by", {}).get("type") if "error" in item else None
            rejected.append(Rejection(write, f"{kind}: {cause}" if cause else kind))
    if missing:
        raise MissingIndexError(frozenset(missing))
    return again, rejected


def _parts(writes: Sequence[Write], settings: ElasticsearchSettings) -> Iterator[list[Write]]:
    part: list[Write] = []
    size = 0
    for write in writes:
        part.append(write)
        size += len(write.body)
        if len(part) >= settings.bulk_max_documents or size >= settings.bulk_max_bytes:
            yield part
            part, size = [], 0
    if part:
        yield part


def _body(part: list[Write], version_type: str) -> bytes:
    """NDJSON by hand: the client's own encoding of dicts costs nine times the time."""
    kind = version_type.encode()
    lines = []
    for write in part:
        lines.append(
            b'{"index":{"_index":"%b","_id":"%b","version":%d,"version_type":"%b"}}'
            % (write.target.encode(), write.id.encode(), write.version, kind)
        )
        lines.append(write.body)
    lines.append(b"")
    return b"\n".join(lines)
