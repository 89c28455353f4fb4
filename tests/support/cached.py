"""The caches of one instance: apply a log to PostgreSQL and Redis batch by batch, compare every key with the fold."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import redis
from contract_events import CloudEvent, rfc3339
from read_models import Log, Reader, ReadModels, partition_of
from redis.cluster import RedisCluster

from tailrace.addresses import resolve
from tailrace.consumers.batch import Record
from tailrace.consumers.redis.caretaker import FAULTS, Caretaker
from tailrace.consumers.redis.reading import Reader as CacheReader
from tailrace.consumers.redis.sink import RedisSink
from tailrace.projections.caches import Keys
from tailrace.projections.registry import REDIS
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.verification.compare_redis import IDS, RedisKeys, compare_family
from tailrace.verification.fold import fold
from tailrace.verification.fold_caches import fold_caches

FILL_S = 30
READ_TOPICS = frozenset(REDIS.topics)


class Cached:
    """Keys of one instance, where `settings` say, else in the shared Redis; and the read models they are read from."""

    def __init__(self, models: ReadModels, settings: Settings | None = None) -> None:
        self.models = models
        self.settings = settings or models.settings
        self.url = resolve(self.settings).redis
        connect: Any = RedisCluster.from_url if self.settings.redis.cluster else redis.Redis.from_url
        self.redis = connect(self.url, decode_responses=True)
        self.keys = Keys(self.settings.redis.key_prefix, self.settings.redis.cluster)
        self.prefix = self.settings.redis.key_prefix

    def sink(self) -> RedisSink:
        """A Redis worker's side; the caller closes it."""
        return RedisSink(self.models.dsn, self.url, self.settings, REDIS)

    def caretaker(self, owner: str = "caretaker") -> Caretaker:
        """What runs beside a worker; the caller closes it."""
        return Caretaker(self.models.dsn, self.url, self.settings, owner)

    async def connection(self) -> asyncpg.Connection:
        """A connection of the test's own."""
        return await asyncpg.connect(self.models.dsn)

    async def reader(self) -> CacheReader:
        """What reads the caches' state, on a connection of its own."""
        return CacheReader(await self.connection(), self.settings.postgres)

    def empty(self) -> None:
        """What FLUSHALL does, to the keys of this instance."""
        with self.redis.pipeline(transaction=False) as pipe:
            for name in self.redis.scan_iter(match=f"{self.prefix}*", count=1_000):
                pipe.delete(name)
            pipe.execute()

    def clear(self) -> None:
        """Empty everything, in both stores."""
        self.models.clear()
        self.empty()

    async def fill(self) -> None:
        """Let a caretaker look until the caches are whole; it goes on when a server is away."""
        caretaker = self.caretaker()
        try:
            async with asyncio.timeout(FILL_S):
                while True:
                    with suppress(*FAULTS):
                        if await caretaker.look():
                            break
                    await asyncio.sleep(0.01)
        finally:
            await caretaker.close()

    async def apply(self, log: Log, size: int = 1_000) -> None:
        """Apply a log to both stores."""
        await self.models.apply([log[start : start + size] for start in range(0, len(log), size)])
        seen = [record for record in log if self.models.short(record.topic) in READ_TOPICS]
        sink = self.sink()
        try:
            worker = Reader(self.models, sink)
            await worker.claim({partition_of(record) for record in seen})
            for start in range(0, len(seen), size):
                await sink.apply(worker.batch(seen[start : start + size]))
        finally:
            await sink.close()

    def differences(self, log: Iterable[Record]) -> dict[str, Any]:
        """What differs, by family, from the independent fold of the log."""
        decoded = [self.models.decoded(record) for record in log]
        events = [event for event in decoded if isinstance(event, Event)]
        found: dict[str, Any] = {}
        with RedisKeys(self.settings) as keys:
            now = keys.now()
            caches = fold_caches(events, fold(events), now)
            for family in IDS:
                report = compare_family(family, caches.families[family], keys.family(family), limit=3, now=now)
                if report.count:
                    found[family] = [(one.key, one.expected, one.found) for one in report.differences]
        return found

    def value(self, family: str, *ids: str) -> Any:
        """What a key holds, as its type gives it; None where there is none."""
        name = self.keys.name(family, *ids)
        match self.redis.type(name):
            case "list":
                return self.redis.lrange(name, 0, -1)
            case "hash":
                return self.redis.hgetall(name)
            case "none":
                return None
        return self.redis.get(name)


def appended_now(log: Sequence[Record], now: datetime) -> Log:
    """The same log, appended just now, a millisecond apart."""
    first = int(now.timestamp() * 1000) - len(log)
    return [record._replace(timestamp_ms=first + number) for number, record in enumerate(log)]


def live_events(events: Sequence[CloudEvent], seed: int, now: datetime) -> list[CloudEvent]:
    """Add signals of the last hours about the users and channels of the events; some posts and endings become new."""
    rng = random.Random(f"signals {seed}")  # another stream of ids than the events'
    signals = Signals(rng, events, now)
    whole = [_made_new(event, rng, now) for event in events]
    whole += [signals.make() for _ in range(len(events) // 4)]
    rng.shuffle(whole)
    return whole


def _made_new(event: CloudEvent, rng: random.Random, now: datetime) -> CloudEvent:
    if event["type"] == "collab.message.posted" and rng.random() < 0.5:
        time = now + timedelta(seconds=rng.choice([-30, -1, 200, 400]), milliseconds=rng.randrange(900))
    elif event["type"] in {"collab.workspace_member.left", "collab.user.erased"} and rng.random() < 0.5:
        time = now - timedelta(seconds=rng.uniform(0, 80_000))
    else:
        return event
    return {**event, "time": rfc3339(time)}


class Signals:
    """Sessions, connections, presence and typing around now, out of order, of few subjects."""

    def __init__(self, rng: random.Random, events: Sequence[CloudEvent], now: datetime) -> None:
        self._rng = rng
        self._now = now
        self._users, self._workspaces, self._channels = (
            sorted({event["data"][name] for event in events if event["data"].get(name)})
            for name in ("user_id", "workspace_id", "channel_id")
        )
        self._sessions = {self._id(): self._member() for _ in range(8)}
        self._connections = {self._id(): self._member() for _ in range(5)}

    def make(self) -> CloudEvent:
        """The next signal."""
        return self._rng.choice(
            [self._session, self._session, self._connection, self._presence, self._presence, self._typing]
        )()

    def _id(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128)))

    def _member(self) -> tuple[str, str]:
        return self._rng.choice(self._users), self._rng.choice(self._workspaces)

    def _event(self, name: str, back_s: float, **data: Any) -> CloudEvent:
        time = self._now - timedelta(seconds=back_s, microseconds=self._rng.randrange(1_000_000))
        return {
            "specversion": "1.0", "id": self._id(), "type": f"collab.{name}", "source": "/live", "subject": "s",
            "time": rfc3339(time), "sequence": str(self._rng.randrange(1, 30)), "data": data,
        }  # fmt: skip

    def _session(self) -> CloudEvent:
        one = self._rng.choice(list(self._sessions))
        user_id, workspace_id = self._sessions[one]
        if self._rng.random() < 0.12:
            return self._event("session.ended", self._rng.uniform(0, 50_000), session_id=one, user_id=user_id)
        return self._event(
            "session.started", self._rng.uniform(-300, 110_000), session_id=one, user_id=user_id,
            workspace_id=workspace_id, device_type=self._rng.choice(["web", "phone"]), ip_address="10.0.0.1",
            user_agent="x", permissions=["a"],
        )  # fmt: skip

    def _connection(self) -> CloudEvent:
        one = self._rng.choice(list(self._connections))
        user_id, workspace_id = self._connections[one]
        if self._rng.random() < 0.2:
            return self._event("connection.closed", self._rng.uniform(0, 5_000), connection_id=one, user_id=user_id)
        return self._event(
            "connection.opened", self._rng.uniform(-300, 9_000), connection_id=one, user_id=user_id,
            workspace_id=workspace_id, channels=[self._rng.choice(self._channels)],
        )  # fmt: skip

    def _presence(self) -> CloudEvent:
        user_id, workspace_id = self._member()
        return self._event(
            "presence.changed", self._rng.uniform(-300, 500), user_id=user_id, workspace_id=workspace_id,
            status=self._rng.choice(["active", "away"]), device_type="web",
        )  # fmt: skip

    def _typing(self) -> CloudEvent:
        channel_id, user_id = self._rng.choice(self._channels), self._rng.choice(self._users)
        return self._event("typing.started", self._rng.uniform(-500, 20), channel_id=channel_id, user_id=user_id)
