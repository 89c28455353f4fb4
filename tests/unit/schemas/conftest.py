import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import tailrace.schemas
from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal

SAMPLES = Path(tailrace.schemas.__file__).parent / "samples"
APPENDED_AT = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

Record = dict[str, Any]


@pytest.fixture(scope="session")
def samples() -> dict[str, Record]:
    """One structured event of every type of the catalogue at its newest version, as parsed JSON."""
    return {name: json.loads((SAMPLES / f"{name}.v{it.version}.json").read_text()) for name, it in EVENT_TYPES.items()}


@pytest.fixture
def event(samples: dict[str, Record]) -> Callable[..., Record]:
    """A sample event with some of its attributes (names) and fields of `data` (`data__` names) replaced."""

    def build(type_: str = "collab.message.posted", /, **replaced: Any) -> Record:
        record = copy.deepcopy(samples[type_])
        for name, value in replaced.items():
            target = record["data"] if name.startswith("data__") else record
            target[name.removeprefix("data__")] = value
        return record

    return build


@pytest.fixture(scope="session")
def read() -> Callable[..., Event | Refusal | None]:
    """Decode a record (parsed JSON or bytes) as its own topic would carry it, under its own key."""

    def decode_record(record: Record | bytes, *, topic: str | None = None, key: bytes | None = None) -> Any:
        value = record if isinstance(record, bytes) else json.dumps(record).encode()
        if isinstance(record, dict) and (type_ := EVENT_TYPES.get(str(record.get("type")))):
            topic = topic or type_.topic
            data = record.get("data")
            values = [data.get(field) for field in type_.key] if isinstance(data, dict) else []
            key = key or next((str(value).encode() for value in values if value), None)
        return decode(topic or "conversations", key, value, APPENDED_AT)

    return decode_record
