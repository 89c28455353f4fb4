"""Load what the postings of a batch need, and write new messages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any

import asyncpg

from tailrace.consumers.postgres.archive import INDEXABLE_CHARACTERS, open_archive, too_long
from tailrace.consumers.postgres.session import Session, to_json
from tailrace.projections.messages import POSTED_COLUMNS, TOUCHED_COLUMNS, is_plain
from tailrace.projections.postings import POSTED, Postings, client_key, settle_threads
from tailrace.projections.registers import Row
from tailrace.projections.rollups import Rollups
from tailrace.projections.threads import Posted
from tailrace.schemas.event import Event

_ID_COLUMNS = (
    "message_id", "canonical_id", "channel_id", "created_at", "posted_at", "log_offset", "parent_id", "client_key",
)  # fmt: skip
_ALL_COLUMNS = (*POSTED_COLUMNS, *TOUCHED_COLUMNS)
_message_id = attrgetter("message_id")
_id_values = attrgetter(*_ID_COLUMNS)
_posted_values = itemgetter(*POSTED_COLUMNS)
_touched_values = itemgetter(*TOUCHED_COLUMNS)
_FORMATTED = POSTED_COLUMNS.index("formatted_content")
_ENDS_OF_TIME = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC))
"""Times that asyncpg writes as -infinity and infinity, which no Python program can read back."""
_JSON = tuple(TOUCHED_COLUMNS.index(column) for column in ("reactions", "edit_history", "registers"))


def posted_of(record: asyncpg.Record) -> Posted:
    """A row of runtime.message_ids as the folds know it."""
    canonical_id, parent_id = record.get("canonical_id"), record["parent_id"]
    return Posted(
        message_id=str(record["message_id"]),
        channel_id=str(record["channel_id"]),
        created_at=record["created_at"],
        posted_at=record["posted_at"],
        log_offset=record["log_offset"],
        parent_id=None if parent_id is None else str(parent_id),
        canonical_id=None if canonical_id is None else str(canonical_id),
    )


async def load_ids(session: Session, known: dict[str, Posted], ids: Iterable[str]) -> None:
    """Add to `known` those of the message ids that have been posted, and the messages that they are other ids of."""
    missing = [message_id for message_id in ids if message_id not in known]
    while missing:
        found = [posted_of(record) for record in await session.fetch("known_ids", missing)]
        known |= {posted.message_id: posted for posted in found}
        missing = [p.canonical_id for p in found if p.canonical_id is not None and p.canonical_id not in known]


async def _load_ids_and_edges(session: Session, postings: Postings, ids: Iterable[str]) -> None:
    """What `load_ids` does, and the replies that wait for any of the ids."""
    known = postings.known
    for record in await session.fetch("known_ids_and_edges", list(ids)):
        if record["channel_id"] is None:
            postings.waiting.append((str(record["message_id"]), str(record["canonical_id"])))
        else:
            posted = posted_of(record)
            known[posted.message_id] = posted
    await load_ids(session, known, {p.canonical_id for p in known.values() if p.canonical_id is not None})


async def fold_postings(session: Session, events: Sequence[Event]) -> Postings:
    """Fold the batch's postings; also loads the ids that its other events are about."""
    ids: set[str] = set()
    posts: list[tuple[Event, str | None]] = []
    for event in events:
        data = event.data
        if event.type == POSTED:
            ids.add(data["message_id"])
            posts.append((event, client_key(event)))
            if (parent_id := data["thread_id"]) is not None:
                ids.add(parent_id)
        elif (message_id := data.get("message_id")) is not None:
            ids.add(message_id)
    postings = Postings(known={}, primaries={})
    await _load_ids_and_edges(session, postings, ids)
    if clients := {key for _, key in posts if key is not None}:
        for record in await session.fetch("known_clients", list(clients)):
            primary = posted_of(record)
            postings.known.setdefault(primary.message_id, primary)
            postings.primaries.setdefault(record["client_key"].hex, []).append(primary)
    postings.fold(posts)
    return postings


async def resolve_threads(session: Session, postings: Postings) -> dict[str, str | None]:
    """Roots that this batch may have changed, by message id: of new replies and of stored ones that waited."""
    if not postings.ids:
        return {}
    seeds = postings.seeds()
    if not seeds:
        return {}
    # What is above or below a seed may partly be new in this batch, so the walk in SQL starts from each of these too.
    starts = postings.above(seeds.union(*postings.edges))
    below: set[str] = set(starts)
    for record in await session.fetch("thread_component", list(starts)):
        posted = posted_of(record)
        postings.known.setdefault(posted.message_id, posted)
        if record["is_below"]:
            below.add(posted.message_id)
    return settle_threads(postings, below)


async def write_postings(session: Session, postings: Postings, rollups: Rollups) -> None:
    """COPY the new messages and their ids, and count the messages.

    Straight into the tables, without staging: the batch has just read that none of the ids exists, and the progress
    row that it holds keeps everybody else out of these partitions. An id that another channel posts at this very
    moment breaks the primary key of message_ids; the retry then sees it.
    """
    # In the order of the ids, which begin with their time: neighbours in the index.
    if postings.ids:
        ids = sorted(postings.ids, key=_message_id)
        await session.copy("runtime.message_ids", _ID_COLUMNS, map(_id_values, ids))
    plain: list[Row] = []
    others: list[Row] = []
    long: list[Row] = []
    for row in postings.rows.values():
        if len(row["content"]) > INDEXABLE_CHARACTERS:
            long.append(row)
        elif is_plain(row):
            plain.append(row)
        else:
            others.append(row)
    archived = await too_long(session, long)
    others += [row for row in long if row not in archived]
    # Most are plain: eleven columns less to encode and to parse, the table has their defaults.
    if plain:
        plain.sort(key=itemgetter("message_id"))
        await session.copy("collab.messages", POSTED_COLUMNS, _counted(plain, rollups, _plain_row))
    if others:
        await session.copy("collab.messages", _ALL_COLUMNS, _counted(others, rollups, _whole_row))
    if archived:
        await open_archive(session, archived)
        await session.copy("collab.messages_archive", _ALL_COLUMNS, _counted(archived, rollups, _whole_row))
    await _write_ends_of_time(session, [*others, *archived])
    if postings.edges:
        parents, children = zip(*sorted(postings.edges), strict=True)
        await session.fetch("add_edges", parents, children)


async def _write_ends_of_time(session: Session, rows: Iterable[Row]) -> None:
    """Write `edited_at`, the one time of new rows that nobody judges (ruling 74), where asyncpg says "infinity"."""
    odd = [row for row in rows if row["edited_at"] in _ENDS_OF_TIME]
    if odd:
        keys = [row["message_id"] for row in odd], [row["created_at"] for row in odd]
        await session.fetch_of_messages("write_edited_at", *keys, [row["edited_at"].isoformat() for row in odd])


def _counted(rows: Iterable[Row], rollups: Rollups, values: Callable[[Row], Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Values of the rows for COPY. They are counted on the way, since the server takes longer over a row than we do."""
    count = rollups.posted
    for row in rows:
        count(row, row["appended_at"])
        yield values(row)


def _plain_row(row: Row) -> tuple[Any, ...]:
    values: tuple[Any, ...] = _posted_values(row)
    if (formatted := values[_FORMATTED]) is None:
        return values
    return (*values[:_FORMATTED], to_json(formatted), *values[_FORMATTED + 1 :])


def _whole_row(row: Row) -> tuple[Any, ...]:
    values = [*_touched_values(row)]
    for index in _JSON:
        if values[index] is not None:
            values[index] = to_json(values[index])
    return (*_plain_row(row), *values)
