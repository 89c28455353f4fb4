"""The hottest channels of a workspace, read from the trends topic, with their names where the tables know them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import psycopg

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.settings import Settings
from tailrace.sql.catalog import render
from tailrace.streams.board import Board, Hot
from tailrace.streams.companion import Companion
from tailrace.streams.stream import Beside

REFRESH_S: Final = 2.0
LOOK_BACK: Final = timedelta(hours=2)
"""Windows appended before this are not looked at: the longest is an hour, and it is given out when it ends."""
NAMES_TIMEOUT_S: Final = 3


@dataclass(frozen=True, slots=True)
class NamedHot:
    """A hot channel and its name; None where the tables do not know it or are not there."""

    name: str | None
    hot: Hot


async def hottest_channels(
    settings: Settings, workspace_id: str, *, window_seconds: int, limit: int, now: datetime
) -> AsyncGenerator[list[NamedHot], None]:
    """The hottest channels now and then every `REFRESH_S`, without end; `now` is aware UTC.

    Raises `UnreachableError`, and `PreconditionError` where the topic does not exist.
    """
    board = Board(workspace_id, window_seconds)
    companion = Companion(resolve(settings).kafka, settings, Beside(("trends",), board.take), since=now - LOOK_BACK)
    names: dict[str, str | None] = {}
    try:
        await companion.start()
        while True:
            await companion.catch_up()
            hottest = board.hottest(limit)
            if unknown := [hot.channel_id for hot in hottest if hot.channel_id not in names]:
                found = await asyncio.to_thread(_names, settings, unknown)
                names |= {channel_id: found.get(channel_id) for channel_id in unknown}
            yield [NamedHot(names[hot.channel_id], hot) for hot in hottest]
            await asyncio.sleep(REFRESH_S)
    finally:
        await companion.stop()


async def hottest_now(
    settings: Settings, workspace_id: str, *, window_seconds: int, limit: int, now: datetime
) -> list[NamedHot]:
    """The hottest channels, once; see `hottest_channels`."""
    boards = hottest_channels(settings, workspace_id, window_seconds=window_seconds, limit=limit, now=now)
    async with aclosing(boards):
        return await anext(boards)


def _names(settings: Settings, channel_ids: Sequence[str]) -> Mapping[str, str | None]:
    """Names of channels; none where PostgreSQL is not there, as the trends do without it."""
    text = render(
        "SELECT channel_id, name FROM collab.channels WHERE channel_id = ANY (%s::uuid[])",
        {
            "collab": settings.postgres.schema_collab,
            "analytics": settings.postgres.schema_analytics,
            "runtime": settings.postgres.schema_runtime,
        },
    )
    try:
        with psycopg.connect(resolve(settings).postgres_ro, connect_timeout=NAMES_TIMEOUT_S) as conn:
            return {str(channel_id): name for channel_id, name in conn.execute(text, [list(channel_ids)])}
    except (psycopg.Error, UnreachableError):
        return {}
