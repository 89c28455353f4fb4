"""What the fold assumes of the log, and that it names the contract's columns."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tailrace.verification.fold import fold
from tailrace.verification.tables import TABLES

Fold = Callable[..., Any]


def test_an_empty_log_leads_to_empty_tables():
    assert fold([]) == {table.name: {} for table in TABLES}


def test_of_two_events_with_one_id_the_first_in_the_log_counts(given: Any, folded: Fold):
    first = given.user(id="same", display_name="first")
    second = replace(first, sequence=99, data={**first.data, "display_name": "second"})
    assert folded(first, second).row("users", "ana")["display_name"] == "first"


def test_the_order_of_the_log_is_that_of_offsets_and_not_of_delivery(given: Any):
    first, second = given.posted(content="first"), given.posted(content="second")
    log = [replace(first, topic="t", partition=0, offset=10), replace(second, topic="t", partition=0, offset=11)]
    assert fold(log) == fold(reversed(log))
    (row,) = fold(reversed(log))["messages"].values()
    assert row["content"] == "first"


def test_every_row_has_the_columns_of_its_table_and_no_others(given: Any, folded: Fold):
    tables = folded(
        given.user(),
        given.workspace(),
        given.hired(),
        given.invitation(),
        given.integration(),
        given.channel(),
        given.joined(),
        given.read("m1", "12:30"),
        given.posted(),
        given.about("message.pinned"),
        given.reacted(),
        given.uploaded(),
        given.file("file.processed"),
        given.file("file.scanned"),
        given.shared(),
        given.activity(),
        given.started(),
        given.ended(),
    )
    for spec in TABLES:
        ((key, row),) = tables[spec.name].items()
        assert (spec.name, len(key)) == (spec.name, len(spec.key))
        assert (spec.name, set(row)) == (spec.name, set(spec.columns))
