import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tailrace.schemas
from tailrace.producer.clock import HybridClock
from tailrace.producer.ids import EventIds
from tailrace.producer.stamping import Stamper
from tailrace.schemas.catalogue import EVENT_TYPES

SAMPLES = Path(tailrace.schemas.__file__).parent / "samples"
NOON_US = 1_795_262_400_000_000
"""2026-11-21T12:00:00Z."""


@dataclass
class Clock:
    """A wall clock that a test sets."""

    us: int = NOON_US

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def clock() -> Clock:
    return Clock()


def stamper_at(clock: Clock) -> Stamper:
    ids = EventIds(now_us=clock, random_bits=random.Random(7).getrandbits)
    return Stamper("/billing", "acme.{}".format, HybridClock(now_us=clock), ids, clock)


@pytest.fixture
def stamper(clock: Clock) -> Stamper:
    return stamper_at(clock)


@pytest.fixture(scope="session")
def stamper_of_session() -> Stamper:
    """For properties, which may not use a fixture of a single test."""
    return stamper_at(Clock())


@pytest.fixture(scope="session")
def samples() -> dict[str, dict[str, Any]]:
    """A whole event of every type of the catalogue, as parsed JSON."""
    return {name: json.loads((SAMPLES / f"{name}.v{it.version}.json").read_text()) for name, it in EVENT_TYPES.items()}


@pytest.fixture
def message() -> Callable[..., dict[str, Any]]:
    """Data of a `collab.message.posted`, with some fields replaced."""

    def build(**replaced: Any) -> dict[str, Any]:
        data = {
            "message_id": str(uuid.UUID(int=1)),
            "channel_id": str(uuid.UUID(int=2)),
            "workspace_id": str(uuid.UUID(int=3)),
            "user_id": str(uuid.UUID(int=4)),
            "content": "hello",
            "message_type": "text",
            "mentions": [],
            "file_ids": [],
            "created_at": "2026-11-21T12:00:00Z",
        }
        return data | replaced

    return build
