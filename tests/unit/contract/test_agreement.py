"""What the schema takes the decoder takes, and the reverse, but for the limits that every schema names."""

import copy
import json
import math
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.contract.event_schemas import sample
from tailrace.contract.notes import LIMITS
from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.schemas.event import Event, Refusal

VERSIONS = [(kind.name, number) for kind in EVENT_TYPES.values() for number in range(1, kind.version + 1)]
FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=int(os.environ.get("TAILRACE_MUTANTS", "250")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.sampled_from(
    [
        "", "1.0", "0", "007", "9223372036854775807", "9223372036854775808", "12\n", "-1", "٣",
        "2026-11-20T09:15:00Z", "2026-11-20t09:15:00.123456789+01:00", "2026-11-20T09:15:00", "2026-11-20T09:15:00Z\n",
        "2026-02-30T09:15:00Z", "2026-13-01T09:15:00Z", "2026-11-20T24:00:00Z", "2026-11-20 09:15:00Z",
        "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "1999-12-31T23:59:59Z", "2026-11-20T09:15:60Z",
        "0199c1d2-0040-7000-8000-0000000000aa", "0199C1D2-0040-7000-8000-0000000000AA", "public", "text", "owner",
        "active", "error", "collab.message.pinned", "collab.channel.archived",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([1.0, 2.5, 2**31, -(2**31) - 1, 2**63, 10**400, 1e300]),
    TEXTS,
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
)


def places(event: dict[str, Any]) -> list[tuple[str, ...]]:
    """Paths of all attributes, of all fields of `data` and of those of objects within."""
    data = event["data"]
    nested = [("data", name, inner) for name, value in data.items() if isinstance(value, dict) for inner in value]
    return [(name,) for name in event] + [("data", name) for name in data] + nested


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """A sample in which one to three values were replaced, removed or added."""
    name, version = draw(st.sampled_from(VERSIONS))
    event = copy.deepcopy(sample(name, version))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([*places(sample(name, version)), ("extra",), ("data", "extra")]))
        target: Any = event
        for step in path:
            target = target.get(step) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            continue
        if draw(st.integers(0, 4)) == 0:
            target.pop(last, None)
        else:
            target[last] = draw(VALUES)
    return event


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def fits_double(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def is_beyond_a_schema(event: dict[str, Any], refusal: Refusal) -> bool:
    """Whether one of LIMITS explains the refusal of an event that fits its schema."""
    if refusal.code == "E_TIME":
        return True
    found = list(numbers(event))
    if any(isinstance(number, float) and number.is_integer() for number in found):
        return True
    if not all(map(fits_double, found)):
        return True
    if refusal.reason.startswith("sequence: "):
        return int(event["sequence"]) > 2**63 - 1
    named = [problem.partition(": ") for problem in refusal.reason.split("; ")]
    return bool(named) and all(what.startswith("expected an RFC 3339 time") for _, _, what in named) and no_day(event)


def no_day(value: Any) -> bool:
    """Whether a text in it looks like a time that no calendar has."""
    if isinstance(value, dict):
        return any(no_day(inner) for inner in value.values())
    if not isinstance(value, str) or "T" not in value.upper():
        return False
    try:
        return not 1 < datetime.fromisoformat(value.upper()).year < 9999
    except ValueError:
        return True


@pytest.mark.slow
@FIXED
@given(event=mutants())
def test_schema_and_decoder_take_the_same_events(event: dict[str, Any], validators: Any, decoded: Any):
    version = event.get("schemaversion")
    named = (event.get("type"), 1 if version is None else version)
    known = isinstance(named[0], str) and type(named[1]) is int and named in validators
    taken = known and validators[named].is_valid(event)
    outcome = decoded(event)
    if isinstance(outcome, Event):
        assert taken, list(validators[named].iter_errors(event)) if known else named
    elif taken:
        assert is_beyond_a_schema(event, outcome), (json.dumps(event)[:2_000], outcome)


def test_the_limits_name_every_exception():
    for words in ("sequence", "calendar", "decimal point", "double", "2000-01-01", "1,048,576 bytes"):
        assert words in LIMITS
