"""What counts as a difference, and what the report says of it."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tailrace.verification.compare import compare_rows, document, plain, same
from tailrace.verification.fold_log import FreeRow, OneOf
from tailrace.verification.tables import TABLES, TableSpec

Fold = Callable[..., Any]
At = Callable[[str], datetime]

PINS = TableSpec("pins", "collab", ("pins",), ("channel_id", "message_id"), ("pinned_by", "pinned_at"))
COUNTS = TableSpec("counts", "analytics", ("counts",), ("day",), ("users", "posts"), counters=("users", "posts"))
MESSAGES = next(table for table in TABLES if table.name == "messages")


# ── values ──
@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (None, None),
        ("a", "a"),
        (1, 1.0),
        (1.5, 1.5),
        (1e100, 10**100),
        (2 / 3, Decimal("0.67")),
        (2, Decimal("2.00")),
        ({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]}),
        (OneOf((None, "pending")), "pending"),
        ([OneOf((1, 2))], [2]),
    ],
)
def test_these_are_the_same(expected: Any, found: Any):
    assert same(expected, found)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (None, ""),
        (None, False),
        (0, False),
        (1, True),
        (True, 1),
        (False, None),
        (1, "1"),
        (1, 1.0000001),
        (2 / 3, Decimal("0.66")),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ({"a": 1}, {"a": 1, "b": None}),
        ({"a": 1}, {}),
        (OneOf((None, "pending")), "completed"),
    ],
)
def test_these_differ(expected: Any, found: Any):
    assert not same(expected, found)


# ── rows ──
def test_equal_tables_have_no_difference(time: At):
    row = {"pinned_by": "ana", "pinned_at": time("12:00")}
    report = compare_rows(PINS, {("c1", "m1"): row}, [("c1", "m1", "ana", time("12:00"))], limit=9)
    assert (report.checked, report.count, report.differences) == (1, 0, [])


def test_a_missing_an_unexpected_and_a_differing_row_are_told_apart(time: At):
    noon = time("12:00")
    expected = {("c1", m): {"pinned_by": "ana", "pinned_at": noon} for m in ("m1", "m2")}
    found = [("c1", "m2", "bo", noon), ("c1", "m3", "ana", noon)]
    report = compare_rows(PINS, expected, found, limit=9)
    outcome = {one.key["message_id"]: (one.expected, one.found) for one in report.differences}
    assert outcome == {
        "m1": ({"pinned_by": "ana", "pinned_at": noon}, None),
        "m2": ({"pinned_by": "ana"}, {"pinned_by": "bo"}),
        "m3": (None, {"pinned_by": "ana", "pinned_at": noon}),
    }
    assert (report.checked, report.count) == (3, 3)


def test_a_row_that_is_there_twice_is_unexpected_once(time: At):
    row = ("c1", "m1", "ana", time("12:00"))
    expected = {("c1", "m1"): {"pinned_by": "ana", "pinned_at": time("12:00")}}
    report = compare_rows(PINS, expected, [row, row], limit=9)
    assert [one.expected for one in report.differences] == [None]


def test_columns_that_the_fold_leaves_out_are_not_compared():
    report = compare_rows(PINS, {("c1", "m1"): {"pinned_by": "ana"}}, [("c1", "m1", "ana", "whatever")], limit=9)
    assert report.count == 0


@pytest.mark.parametrize(
    ("found", "differences"), [([], 0), ([("c1", "m1", "ana", None)], 0), ([("c1", "m1", "bo", None)], 1)]
)
def test_a_free_row_may_be_absent_but_if_it_is_there_it_must_be_right(found: Any, differences: int):
    assert compare_rows(PINS, {("c1", "m1"): FreeRow(pinned_by="ana")}, found, limit=9).count == differences


@pytest.mark.parametrize(("row", "differences"), [(("d1", 0, 0), 0), (("d1", 0, 1), 1)])
def test_a_bucket_of_zeros_is_no_row(row: tuple[Any, ...], differences: int):
    assert compare_rows(COUNTS, {}, [row], limit=9).count == differences


def test_a_bucket_of_zeros_in_place_of_counts_is_a_difference():
    assert compare_rows(COUNTS, {("d1",): {"users": 1, "posts": 0}}, [("d1", 0, 0)], limit=9).count == 1


def test_all_differences_are_counted_and_only_the_first_are_kept():
    report = compare_rows(COUNTS, {}, [(day, 1, 1) for day in range(50)], limit=3)
    assert (report.count, len(report.differences)) == (50, 3)


def test_times_inside_edit_history_are_compared_as_times(given: Any, folded: Fold):
    tables = folded(given.posted(content="a", seq=1, time="12:00"), given.edited("b", seq=2))
    ((key, row),) = tables["messages"].items()
    stored = {
        **row,
        "edit_history": [{"content": "a", "edited_at": "2026-11-20T13:00:00.000+01:00", "editor_id": "ana"}],
    }
    found = [(*key, *(stored[name] for name in MESSAGES.columns))]
    assert compare_rows(MESSAGES, tables["messages"], found, limit=9).count == 0


@pytest.mark.parametrize("found", [{"a": [1]}, {"a": [True], "b": None}, {}])
def test_json_that_only_equals_what_was_expected_is_a_difference(found: Any):
    spec = TableSpec("settings", "collab", ("settings",), ("id",), ("name", "settings"), json=("settings",))
    expected = {("w1",): {"name": "one", "settings": {"a": [True]}}}
    assert compare_rows(spec, expected, [("w1", "one", {"a": [True]})], limit=9).count == 0
    assert compare_rows(spec, expected, [("w1", "one", found)], limit=9).count == 1


# ── report ──
def test_the_document_is_json_of_the_contracts_shape(time: At):
    report = compare_rows(PINS, {("c1", "m1"): {"pinned_at": OneOf((None, time("12:00")))}}, [], limit=9)
    printed = json.loads(json.dumps(document({"pins": report})))
    assert printed == {
        "differences": 1,
        "projections": {
            "pins": {
                "checked": 1,
                "count": 1,
                "differences": [
                    {
                        "key": {"channel_id": "c1", "message_id": "m1"},
                        "expected": {"pinned_at": {"one_of": [None, "2026-11-20T12:00:00.000000Z"]}},
                        "found": None,
                    }
                ],
            }
        },
    }


def test_what_json_does_not_know_is_printed_as_text():
    assert plain({"a": [Decimal("1.50"), True, 1, None]}) == {"a": ["1.50", True, 1, None]}
