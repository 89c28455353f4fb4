"""The application in this process, before a log that is a list."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

import tailrace.schemas
from tailrace.http.accepting import WAITING_MAX_EVENTS
from tailrace.http.app import Surroundings, create_app
from tailrace.producer import Ack, Producer, Record
from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.settings import Settings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SAMPLES = Path(tailrace.schemas.__file__).parent / "samples"


class Log:
    """A log of one partition, with the SDK in front.

    `failure` is what deliveries end with from the record number `failing_from` on; `held`: none ends by itself.
    """

    def __init__(self) -> None:
        self.sdk = Producer(Settings(_env_file=None), source="/http", now_us=lambda: int(NOW.timestamp()) * 1_000_000)
        self.records: list[Record] = []
        self.failure: Exception | None = None
        self.failing_from = 0
        self.held: list[asyncio.Future[Ack]] | None = None
        self.held_enough = asyncio.Event()

    def validate(self, event: Mapping[str, Any]) -> Record:
        return self.sdk.validate(event)

    async def submit_record(self, record: Record) -> "asyncio.Future[Ack]":
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        if self.held is not None:
            self.held.append(future)
            if len(self.held) == WAITING_MAX_EVENTS:
                self.held_enough.set()
        elif self.failure and len(self.records) >= self.failing_from:
            future.set_exception(self.failure)
        else:
            self.records.append(record)
            future.set_result(Ack(record.topic, 0, len(self.records) - 1, record.event_id, NOW))
        return future

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(record.value) for record in self.records]


class Client:
    """Sends to an application in this process."""

    def __init__(self, around: Surroundings) -> None:
        self.app = create_app(around)

    async def send(self, method: str, path: str, *, base: str = "http://127.0.0.1", **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **more)

    async def post(self, value: Any, path: str = "/v1/events", *, kind: str = "", **headers: str) -> httpx.Response:
        default = f"application/cloudevents{'-batch' if isinstance(value, list) else ''}+json"
        content = value if isinstance(value, bytes) else orjson.dumps(value)
        return await self.send("POST", path, content=content, headers={"content-type": kind or default, **headers})


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def client(log: Log) -> Client:
    return Client(Surroundings(log))


@pytest.fixture(scope="session")
def samples() -> dict[str, dict[str, Any]]:
    """One event of each type, at its newest version."""
    files = {name: SAMPLES / f"{name}.v{kind.version}.json" for name, kind in EVENT_TYPES.items()}
    return {name: orjson.loads(file.read_bytes()) for name, file in files.items()}


@pytest.fixture
def event(samples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """An event as short as it can be."""
    whole = samples["collab.reaction.added"]
    return {name: whole[name] for name in ("specversion", "type", "data")}
