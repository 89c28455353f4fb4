"""How long tables have months for, as the metrics say it."""

from datetime import UTC, datetime

import pytest

from tailrace.months.keeper import Partition
from tailrace.operations.metrics import ahead

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY_S = 86_400


def month(first: str, end: str, state: str = "attached") -> Partition:
    return Partition("collab.messages", "m", state, f"{first}-01T00:00:00Z", f"{end}-01T00:00:00Z", None, None, 0, 0)


@pytest.mark.parametrize(
    ("partitions", "days"),
    [
        ([month("2026-11", "2026-12"), month("2026-12", "2027-01")], 10 + 31),
        ([month("2026-11", "2026-12"), month("2099-01", "2099-02")], 10),
        ([month("2026-11", "2026-12"), month("2026-12", "2027-01", "detached")], 10),
        ([month("2026-10", "2026-11"), month("2026-12", "2027-01")], 0),
    ],
    ids=["two months", "a month of the far future", "a month that was taken out", "this month is missing"],
)
def test_months_count_as_long_as_one_follows_the_other(partitions: list[Partition], days: int):
    (sample,) = ahead(partitions, NOW)

    assert sample.value == days * DAY_S
    assert sample.labels == (("table", "collab.messages"),)
