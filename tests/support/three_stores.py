"""Traffic of which every store tells at once how far it has come, and readers that look at all three all the time.

Messages of a channel are numbered, and one message of each channel is edited again and again, its text being a count.
So a reader who sees a number fall, a key or a document missing, or a cache ahead of the tables, has seen old beside
new.
"""

import asyncio
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import redis
from aiokafka import AIOKafkaProducer
from contract_events import CloudEvent, Given, id_of, in_world, rfc3339
from elasticsearch import Elasticsearch

from tailrace.addresses import resolve
from tailrace.schemas.catalogue import key_of, topic_of
from tailrace.settings import Settings

CHANNELS = [f"c{number}" for number in range(5)]
USERS = ["ana", "bea", "cem", "dia"]
POLL_S = 0.05
SHOWN_MAX = 10


class Traffic:
    """Publishes at a rate until it is stopped."""

    def __init__(self, settings: Settings, rate: int, seed: int) -> None:
        self._settings = settings
        self._rate = rate
        self._dice = random.Random(seed)
        self._given = Given()
        self._edits = 0
        self._posted: list[tuple[str, str]] = []
        self.published = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._publish_all()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)

    def world(self) -> list[CloudEvent]:
        """What there is before the first message, and the first messages."""
        given = self._given
        events = [given.workspace("w1"), *(given.user(user) for user in USERS)]
        events += [given.channel(channel) for channel in CHANNELS]
        events += [given.joined(user, channel) for channel in CHANNELS for user in USERS]
        return events + [self._post(channel, "count 0", f"n{channel}") for channel in CHANNELS]

    async def publish(self, events: list[CloudEvent]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=resolve(self._settings).kafka)
        await producer.start()
        try:
            for event in events:
                await self._send(producer, event)
        finally:
            await producer.stop()

    async def _publish_all(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=resolve(self._settings).kafka, linger_ms=5)
        await producer.start()
        began = time.monotonic()
        try:
            while not self._stopping.is_set():
                while self.published < (time.monotonic() - began) * self._rate:
                    await self._send(producer, self._next())
                    self.published += 1
                await asyncio.sleep(0.005)
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, event: CloudEvent) -> None:
        event = in_world(event) if len(event["id"]) < 36 else event
        key = key_of(event["type"], event["data"]).encode()
        await producer.send(self._settings.topic(topic_of(event["type"])), key=key, value=json.dumps(event).encode())

    def _next(self) -> CloudEvent:
        channel = self._dice.choice(CHANNELS)
        what = self._dice.random()
        self._edits += 1
        if what < 0.15:
            return self._event(
                "message.edited", message_id=id_of(f"n{channel}"), channel_id=id_of(channel), workspace_id=id_of("w1"),
                editor_id=id_of("ana"), content=f"count {self._edits}", mentions=[], edited_at=_now(),
            )  # fmt: skip
        if what < 0.35 and self._posted:
            message, where = self._dice.choice(self._posted[-200:])
            return self._event(
                self._dice.choice(["reaction.added", "reaction.removed"]), message_id=message, channel_id=where,
                workspace_id=id_of("w1"), user_id=id_of(self._dice.choice(USERS)), emoji="+1",
            )  # fmt: skip
        return self._post(channel, f"number {self._edits}", None)

    def _post(self, channel: str, text: str, name: str | None) -> CloudEvent:
        message = id_of(name) if name else str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        self._posted.append((message, id_of(channel)))
        return self._event(
            "message.posted", message_id=message, channel_id=id_of(channel), workspace_id=id_of("w1"),
            user_id=id_of(self._dice.choice(USERS)), content=text, message_type="text", mentions=[], file_ids=[],
            created_at=_now(),
        )  # fmt: skip

    def _event(self, name: str, **data: Any) -> CloudEvent:
        return {
            "specversion": "1.0", "id": str(uuid.UUID(int=self._dice.getrandbits(128), version=4)),
            "type": f"collab.{name}", "source": "/tests", "subject": "-", "time": _now(),
            "sequence": str(time.time_ns() // 1_000), "data": data,
        }  # fmt: skip


def _now() -> str:
    return rfc3339(datetime.now(UTC))


class Readers:
    """Look at every channel in every store, each store from a thread of its own; `seen` counts looks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._highest: dict[tuple[str, ...], int] = {}
        self.complaints: list[str] = []
        self.seen = {"postgres": 0, "redis": 0, "elasticsearch": 0}
        self.slowest_s = dict.fromkeys(self.seen, 0.0)
        self._threads = [
            threading.Thread(target=self._look, args=(name, opened), daemon=True)
            for name, opened in (
                ("postgres", self._postgres), ("redis", self._redis), ("elasticsearch", self._elasticsearch),
            )
        ]  # fmt: skip

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _complain(self, text: str) -> None:
        self.complaints.append(f"{datetime.now(UTC).time()} {text}")

    def _look(self, name: str, opened: Callable[[], Any]) -> None:
        with opened() as look:
            while not self._stopping.is_set():
                began = time.monotonic()
                for channel in CHANNELS:
                    try:
                        look(channel)
                    except Exception as error:  # noqa: BLE001 - whatever a reader meets is what this is about
                        self._complain(f"{name} {channel}: {type(error).__name__}: {error}")
                self.seen[name] += 1
                self.slowest_s[name] = max(self.slowest_s[name], time.monotonic() - began)
                self._stopping.wait(POLL_S)

    def _rises(self, value: int, *of: str) -> None:
        if value < self._highest.get(of, 0):
            self._complain(f"{' '.join(of)}: {value} after {self._highest[of]}")
        self._highest[of] = max(value, self._highest.get(of, 0))

    @contextmanager
    def _postgres(self) -> Iterator[Callable[[str], None]]:
        with psycopg.connect(resolve(self._settings).postgres, autocommit=True, prepare_threshold=1) as connection:

            def look(channel: str) -> None:
                self._in_tables(connection, channel)

            yield look

    def _in_tables(self, connection: psycopg.Connection[Any], channel: str) -> int:
        """Three statements in one snapshot; the newest number."""
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            newest = connection.execute(_NEWEST, [id_of(channel)]).fetchone()
            count = connection.execute(_COUNT, [id_of(channel)]).fetchone()
            rollup = connection.execute(_ROLLUP, [id_of(channel)]).fetchone()
        if newest is None or count is None or rollup is None or count[1] is None:
            self._complain(f"postgres {channel}: rows are missing")
            return 0
        if count[0] != rollup[0]:
            self._complain(f"postgres {channel}: {count[0]} messages, {rollup[0]} in the rollup")
        self._rises(_number(newest[0]), "postgres", channel, "newest")
        self._rises(count[0], "postgres", channel, "messages")
        self._rises(_number(count[1]), "postgres", channel, "edited")
        return self._highest["postgres", channel, "newest"]

    @contextmanager
    def _redis(self) -> Iterator[Callable[[str], None]]:
        prefix = self._settings.redis.key_prefix
        with (
            redis.Redis.from_url(resolve(self._settings).redis) as client,
            psycopg.connect(resolve(self._settings).postgres, autocommit=True) as connection,
        ):

            def look(channel: str) -> None:
                texts = client.lrange(f"{prefix}recent_messages:{id_of(channel)}", 0, -1)
                members = client.get(f"{prefix}channel_members:{id_of(channel)}")
                if not texts or not members:
                    self._complain(f"redis {channel}: a key is missing")
                    return
                newest = max(_number(json.loads(text)["content"]) for text in texts)
                self._rises(newest, "redis", channel, "newest")
                self._not_ahead(connection, "redis", channel, _number(json.loads(texts[0])["content"]))

            yield look

    @contextmanager
    def _elasticsearch(self) -> Iterator[Callable[[str], None]]:
        counted = {c: {"filter": {"ids": {"values": [id_of(f"n{c}")]}}} for c in CHANNELS}
        alias = f"{self._settings.elasticsearch.index_prefix}messages"
        with (
            Elasticsearch(resolve(self._settings).elasticsearch, request_timeout=30) as client,
            psycopg.connect(resolve(self._settings).postgres, autocommit=True) as connection,
        ):

            def look(channel: str) -> None:
                found = client.search(
                    index=alias, query={"term": {"channel_id": id_of(channel)}}, sort=[{"created_at": "desc"}],
                    size=1, track_total_hits=True, aggs={"counted": counted[channel]},
                )  # fmt: skip
                hits = found["hits"]["hits"]
                if not hits or found["aggregations"]["counted"]["doc_count"] != 1:
                    self._complain(f"elasticsearch {channel}: a document is missing")
                    return
                newest = _number(hits[0]["_source"]["content"])
                self._rises(newest, "elasticsearch", channel, "newest")
                self._rises(found["hits"]["total"]["value"], "elasticsearch", channel, "messages")
                self._not_ahead(connection, "elasticsearch", channel, newest)

            yield look

    def _not_ahead(self, connection: psycopg.Connection[Any], store: str, channel: str, number: int) -> None:
        row = connection.execute(_NEWEST, [id_of(channel)]).fetchone()
        if row is None or _number(row[0]) < number:
            self._complain(f"{store} {channel}: {number} is ahead of the tables' {row}")


def _number(text: str) -> int:
    return int(text.rpartition(" ")[2])


_NEWEST = "SELECT content FROM collab.messages WHERE channel_id = %s ORDER BY created_at DESC LIMIT 1"
_COUNT = """
SELECT count(*), max(content) FILTER (WHERE content LIKE 'count %%') FROM collab.messages WHERE channel_id = %s
"""
_ROLLUP = "SELECT coalesce(sum(message_count), 0)::int FROM analytics.message_analytics WHERE channel_id = %s"
