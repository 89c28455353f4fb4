"""Compare the keys in Redis with what the fold expects: their type, value and lifetime."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import orjson
import redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.verification.compare import Difference, TableReport, same
from tailrace.verification.fold_caches import Expected, Keys, fold_caches
from tailrace.verification.fold_log import Key, Table

PAGE: Final = 500
"""Keys that are read at once."""
CLOCK_MARGIN: Final = timedelta(seconds=5)
"""A key that ends within so much of now may be there or not, and lifetimes may differ by so much."""

IDS: Final = {
    "recent_messages": ("channel_id",),
    "unread_counts": ("user_id", "workspace_id"),
    "channel_members": ("channel_id",),
    "session": ("session_id",),
    "connection": ("connection_id",),
    "presence": ("user_id", "workspace_id"),
    "typing": ("channel_id", "user_id"),
    "message_rate": ("user_id", "channel_id", "minute"),
}
"""Families of keys and the ids in their names (CONTRACT, 3)."""
TYPES: Final = {"recent_messages": "list", "unread_counts": "hash"}
TIMES: Final = frozenset({"created_at", "edited_at", "last_activity", "last_seen", "connected_at"})
PREFIX: Final = "redis."
"""In front of the families' names in the report."""
_FAILURES: Final = (redis.RedisError, RedisClusterException)
"""The second is no kind of the first."""


@dataclass(frozen=True, slots=True)
class Found:
    """A key as it is. `value` is None where its type is not the family's."""

    type: str
    value: Any
    expires_at: datetime | None


class RedisKeys:
    """The keys of one instance, for reading."""

    def __init__(self, settings: Settings) -> None:
        url = resolve(settings).redis
        connect = RedisCluster.from_url if settings.redis.cluster else redis.Redis.from_url
        self._prefix = settings.redis.key_prefix
        self._is_cluster = settings.redis.cluster
        try:
            self._client: Any = connect(url, socket_timeout=15, socket_connect_timeout=5)
            self._client.ping()
        except _FAILURES as error:
            raise UnreachableError(f"Redis: {type(error).__name__}", fix="tailrace doctor") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._client.close()
        if isinstance(error, _FAILURES):
            raise UnreachableError(f"Redis: {type(error).__name__}", fix="tailrace doctor") from error

    def now(self) -> datetime:
        """The server's clock, aware UTC."""
        node = {"target_nodes": RedisCluster.RANDOM} if isinstance(self._client, RedisCluster) else {}
        answer = self._client.time(**node)
        seconds, microseconds = next(iter(answer.values())) if isinstance(answer, dict) else answer
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    def family(self, family: str) -> Iterator[tuple[Key, Found]]:
        """Every key of a family, with the ids in its name."""
        page: list[bytes] = []
        seen: set[bytes] = set()
        for name in self._client.scan_iter(match=f"{_literal(self._prefix)}{family}:*", count=1_000):
            if name not in seen:
                seen.add(name)
                page.append(name)
            if len(page) == PAGE:
                yield from self._read(page)
                page = []
        yield from self._read(page)

    def these(self, family: str, keys: Collection[Key]) -> Iterator[tuple[Key, Found]]:
        """Those of these keys that there are."""
        if self._is_cluster:  # which part of a name shares a slot is the writer's business
            yield from ((key, found) for key, found in self.family(family) if key in keys)
            return
        names = [":".join((f"{self._prefix}{family}", *key)).encode() for key in keys]
        for first in range(0, len(names), PAGE):
            yield from self._read(names[first : first + PAGE])

    def _read(self, names: Sequence[bytes]) -> Iterator[tuple[Key, Found]]:
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.type(name)
                pipe.pexpiretime(name)
            answers = pipe.execute()
        kinds = [answer.decode() for answer in answers[::2]]
        with self._client.pipeline(transaction=False) as pipe:
            for name, kind in zip(names, kinds, strict=True):
                {"list": lambda n: pipe.lrange(n, 0, -1), "hash": pipe.hgetall}.get(kind, pipe.type)(name)
                pipe.get(name) if kind == "string" else pipe.type(name)
            values = pipe.execute()
        for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            if kind == "none":
                continue  # it ended between the two reads
            ends = answers[2 * place + 1]
            value = values[2 * place + 1] if kind == "string" else values[2 * place]
            if kind == "string" and value is None:
                continue
            expires_at = datetime.fromtimestamp(ends / 1000, UTC) if ends >= 0 else None
            parts = name.decode(errors="replace").removeprefix(self._prefix).split(":")
            yield tuple(part.strip("{}") for part in parts[1:]), Found(kind, value, expires_at)


def _literal(prefix: str) -> str:
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix)


def compare_redis(
    settings: Settings, events: Sequence[Event], tables: dict[str, Table], names: Sequence[str], *, limit: int
) -> dict[str, TableReport]:
    """Compare the named families (`redis.session`, …) with the fold of the events and of the tables made of them.

    Read after the log: a signal that ends meanwhile is judged by the server's clock. Raises `UnreachableError`.
    """
    with RedisKeys(settings) as keys:
        now = keys.now()
        expected = fold_caches(events, tables, now)
        return {
            name: compare_family(
                family := name.removeprefix(PREFIX),
                expected.families[family],
                keys.family(family),
                limit=limit,
                now=now,
            )
            for name in names
        }


def compare_family(
    family: str, wanted: Keys, keys: Iterable[tuple[Key, Found]], *, limit: int, now: datetime
) -> TableReport:
    """Compare one family. `now` is the time that the wanted keys were folded for, by the server's clock."""
    report = TableReport(limit)
    seen: set[Key] = set()
    for key, found in keys:
        seen.add(key)
        if _ends_soon(found.expires_at, now):
            continue
        report.checked += 1
        one = wanted.get(key)
        is_over = one is not None and _ends_soon(one.expires_at, now)
        if one is None:
            report.add(Difference(_named(family, key), None, {"value": shown(family, found)}))
        elif not is_over and (problem := _problem(family, one, found)):
            report.add(Difference(_named(family, key), *problem))
    for key, one in wanted.items():
        if key not in seen and not one.may_be_absent and not _ends_soon(one.expires_at, now):
            report.checked += 1
            report.add(Difference(_named(family, key), {"value": one.value}, None))
    return report


def _ends_soon(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at < now + CLOCK_MARGIN


def _named(family: str, key: Key) -> dict[str, Any]:
    names = IDS[family]
    return dict(zip(names, key, strict=True)) if len(names) == len(key) else {"key": ":".join(key)}


def shown(family: str, found: Found) -> Any:
    """The value as the contract describes it; where it is not that, as it was found."""
    try:
        return _value(family, found)
    except (ValueError, TypeError, KeyError):
        return repr(found.value)


def _problem(family: str, one: Expected, found: Found) -> tuple[dict[str, Any], dict[str, Any]] | None:
    if found.type != TYPES.get(family, "string"):
        return {"type": TYPES.get(family, "string")}, {"type": found.type}
    value = shown(family, found)
    if family == "unread_counts":
        value, wanted = _known_counts(one.value, value)
    else:
        wanted = one.value
    if not _same(wanted, value):
        return {"value": wanted}, {"value": value}
    return _lifetime(family, one, found)


def _known_counts(wanted: dict[str, int | None], found: Any) -> tuple[Any, dict[str, int]]:
    """Leave out the channels whose read position the rulings leave open."""
    free = {channel_id for channel_id, count in wanted.items() if count is None}
    known = {channel_id: count for channel_id, count in wanted.items() if count is not None}
    if isinstance(found, dict):
        found = {channel_id: count for channel_id, count in found.items() if channel_id not in free}
    return found, known


def _lifetime(family: str, one: Expected, found: Found) -> tuple[dict[str, Any], dict[str, Any]] | None:
    if family == "channel_members":
        if found.expires_at is None:
            return {"expires": "within 1800 s"}, {"expires": None}
        return None
    if one.expires_at is None or found.expires_at is None:
        is_right = one.expires_at is None and found.expires_at is None
    elif one.may_be_absent:
        is_right = found.expires_at <= one.expires_at + CLOCK_MARGIN  # absent a little early is absent, too
    else:
        is_right = abs(one.expires_at - found.expires_at) <= CLOCK_MARGIN
    return None if is_right else ({"expires": one.expires_at}, {"expires": found.expires_at})


def _same(wanted: Any, found: Any) -> bool:
    """Equal; fields that are null may be missing (53), fields beside the contract's may be there."""
    if isinstance(wanted, list):
        is_list = isinstance(found, list) and len(wanted) == len(found)
        return is_list and all(_same(one, other) for one, other in zip(wanted, found, strict=True))
    if isinstance(wanted, dict) and isinstance(found, dict) and not _is_counts(wanted, found):
        return all(
            same(value, found.get(name)) or (value is None and name not in found) for name, value in wanted.items()
        )
    return same(wanted, found)


def _is_counts(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    return all(isinstance(value, int) for value in (*wanted.values(), *found.values()))


def _value(family: str, found: Found) -> Any:
    match family:
        case "recent_messages":
            return [_times(orjson.loads(item)) for item in found.value]
        case "unread_counts":
            return {channel_id.decode(): int(count) for channel_id, count in found.value.items()}
        case "typing":
            return found.value.decode()
        case "message_rate":
            return int(found.value)
        case _:
            return _times(orjson.loads(found.value))


def _times(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(one) if name in TIMES and isinstance(one, str) else one
        for name, one in value.items()
    }
