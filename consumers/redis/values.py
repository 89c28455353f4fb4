"""Members, sessions, presence, connections, typing and rates as calls."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from tailrace.consumers.redis.reading import LivingState, Members
from tailrace.consumers.redis.store import Call
from tailrace.projections.caches import (
    MEMBERS_TTL_S,
    MINUTE,
    RATE_TTL,
    TYPING_TTL,
    Keys,
    Pair,
    members_value,
    microseconds,
    milliseconds,
    minute_of,
)

GUARD_KEPT: Final = timedelta(hours=1)
"""How long the guard of a living key outlives it: longer than any worker can be late and still have a connection."""
GUARD_KEPT_MS: Final = GUARD_KEPT // timedelta(milliseconds=1)


def members_calls(keys: Keys, members: Iterable[Members]) -> list[Call]:
    """Calls that write members; their guards stay for ever, as those of lists do."""
    return [
        (
            "value_put",
            keys.pair("channel_members", one.channel_id),
            (one.stamp, members_value(one.members, one.read_at), "PX", MEMBERS_TTL_S * 1000, 0),
        )
        for one in members
    ]


def list_calls(keys: Keys, lists: Iterable[tuple[str, str, Sequence[str]]]) -> list[Call]:
    """Calls that write whole recent lists: (channel, stamp, texts newest first)."""
    return [("recent_put", keys.pair("recent_messages", one), (stamp, *items)) for one, stamp, items in lists]


def living_calls(keys: Keys, states: Iterable[LivingState]) -> list[Call]:
    """Calls that write or remove living keys; a key ends when its events say, however late it is written."""
    return [
        ("value_put", living_pair(keys, kind, key), (stamp, value or b"", "PXAT", ends_ms, ends_ms + GUARD_KEPT_MS))
        for kind, key, stamp, value, ends_ms in states
    ]


def living_pair(keys: Keys, kind: str, key: str) -> tuple[str, str]:
    """Return the key and the guard of a living key; `key` of a presence is `user_id:workspace_id`."""
    return keys.pair(kind, *key.split(":")) if keys.cluster else keys.pair(kind, key)


def typing_calls(
    keys: Keys, typed: Mapping[Pair, datetime], posts: Iterable[asyncpg.Record], now: datetime
) -> list[Call]:
    """Calls that set `typing` where the user has not posted since; `posts` have user_id, channel_id and last_at."""
    posted: dict[Pair, datetime] = {}
    for row in posts:
        if row["last_at"] + TYPING_TTL > now:
            pair = row["channel_id"], row["user_id"]
            posted[pair] = max(posted.get(pair, row["last_at"]), row["last_at"])
    calls: list[Call] = []
    for pair in typed.keys() | posted.keys():
        at, since = typed.get(pair), posted.get(pair)
        ends = 0 if at is None else milliseconds(at + TYPING_TTL)
        newest = max(moment for moment in (at, since) if moment is not None)
        arguments = (microseconds(at), ends, microseconds(since), milliseconds(newest + TYPING_TTL + GUARD_KEPT))
        calls.append(("typing_put", keys.pair("typing", *pair), arguments))
    return calls


def rate_calls(keys: Keys, rows: Iterable[asyncpg.Record], now: datetime) -> list[Call]:
    """Calls that write `message_rate` for minutes that a message may still keep."""
    calls: list[Call] = []
    for row in rows:
        last_end = row["minute"] + MINUTE + RATE_TTL
        if last_end > now:
            pair = keys.pair("message_rate", row["user_id"], row["channel_id"], str(minute_of(row["minute"])))
            ends = milliseconds(row["last_at"] + RATE_TTL), milliseconds(last_end)
            calls.append(("rate_put", pair, (row["n"], *ends, *(row["imports"] or ()))))
    return calls
