from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tailrace.analysis.access import AsOf
from tailrace.analysis.running import Column, Result
from tailrace.analysis.saved import parse

READ_AT = datetime(2026, 11, 21, 12, 4, 31, tzinfo=UTC)
MakeResult = Callable[..., Result]


@pytest.fixture
def as_of() -> AsOf:
    data_to = datetime(2026, 11, 21, 12, 4, 30, tzinfo=UTC)
    return AsOf(READ_AT, None, {"postgres": {"data_to": data_to, "lag_seconds": 1.0, "state": "current"}})


@pytest.fixture
def result(as_of: AsOf) -> MakeResult:
    """Makes a result: `columns` as `name:type`, and how it is drawn."""

    def make(columns: str, rows: Sequence[Sequence[Any]], *, plot: str = "", truncated: bool = False) -> Result:
        header = f"-- title: A title\n-- plot: {plot}\nSELECT 1" if plot else "-- title: A title\nSELECT 1"
        return Result(
            query=parse("made", header),
            parameters={},
            columns=tuple(Column(*one.split(":")) for one in columns.split()),
            rows=tuple(tuple(row) for row in rows),
            given={},
            truncated=truncated,
            took_ms=3,
            as_of=as_of,
        )

    return make
