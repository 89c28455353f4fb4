from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tailrace.analysis.parameters import read_value, split_assignments
from tailrace.errors import InvalidInputError, UsageError

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("date", "2026-11-01", date(2026, 11, 1)), ("date", "today", TODAY), ("date", "today-30", date(2026, 10, 22)),
        ("date", "today - 1", date(2026, 11, 20)), ("date", "today+1", date(2026, 11, 22)),
        ("date", "2026-02", date(2026, 2, 1)), ("int", "15", 15), ("number", "0.50", Decimal("0.5")),
        ("time", "2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("time", "2026-11-01T12:00:00", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("time", "2026-11-01T12:00:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("text", " as it is", " as it is"),
    ],
)  # fmt: skip
def test_a_value_is_read_by_its_type(kind: str, text: str, value: Any):
    assert read_value("p", kind, text, TODAY) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("date", "yesterday"), ("date", "2026-13"), ("date", "2026-02-30"), ("date", "today-999999"), ("int", "1.5"),
        ("number", "many"), ("uuid", "x"), ("time", "noon"), ("date", "today-99999999999"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_an_example(kind: str, text: str):
    with pytest.raises(InvalidInputError, match=f"p is no {kind}") as caught:
        read_value("p", kind, text, TODAY)

    assert caught.value.fix is not None
    assert caught.value.fix.startswith("e.g. -p p=")


def test_assignments_are_split_at_the_first_sign():
    assert split_assignments(["a=1", "b = x=y "]) == {"a": "1", "b": "x=y"}


@pytest.mark.parametrize("text", ["a", "=1", " =1"])
def test_an_assignment_has_a_name_and_a_value(text: str):
    with pytest.raises(UsageError):
        split_assignments([text])
