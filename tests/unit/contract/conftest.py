import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from tailrace.contract.event_schemas import event_schema
from tailrace.schemas.catalogue import EVENT_TYPES, INBOUND
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal

VERSIONS = [(kind.name, number) for kind in EVENT_TYPES.values() for number in range(1, kind.version + 1)]


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """JSON Schema means ECMA's `$`, the very end; Python's also matches before a newline there."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError("another form")


Validator = extend(Draft202012Validator, {"pattern": _pattern})


@pytest.fixture(scope="session")
def validators() -> dict[tuple[str, int], Any]:
    """A validator of whole events by type and version."""
    return {(name, number): Validator(event_schema(name, number)) for name, number in VERSIONS}


@pytest.fixture(scope="session")
def decoded():
    """Read an event as the gateway does: any type, any key; no judgement of times in the future."""

    def read(event: Any) -> Event | Refusal | None:
        return decode(INBOUND, None, json.dumps(event).encode(), None)

    return read


@pytest.fixture(scope="session")
def noon() -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC)
