from datetime import UTC, datetime

from tailrace.analysis.access import AsOf

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EARLIER = datetime(2026, 11, 20, tzinfo=UTC)


def test_the_data_goes_as_far_as_the_tables_that_are_read():
    behind = {"data_to": EARLIER, "lag_seconds": 43_200.0, "state": "halted"}
    current = {"data_to": NOW, "lag_seconds": 0.0, "state": "current"}
    as_of = AsOf(NOW, None, {"postgres": current, "postgres@2": behind, "search": behind})

    assert as_of.data_to == NOW
    assert as_of.sentence() == "data to 2026-11-21 12:00:00 UTC · postgres@2 halted · search halted"


def test_before_anything_is_applied_it_says_so():
    assert AsOf(NOW, None, {}).sentence() == "nothing applied yet"
