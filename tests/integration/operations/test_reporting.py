"""What a worker tells PostgreSQL of itself, and what it learns there."""

import pytest

from tailrace.addresses import resolve
from tailrace.consumers.reporting import FAULTS, Reporter, State
from tailrace.operations.controls import pause, read_reports, resume
from tailrace.operations.database import connection
from tailrace.projections.registry import POSTGRES
from tailrace.settings import PostgresSettings, Settings

STANDING = State(is_standing=True, in_hand=0, partitions=0, applied=5, troubles=0, last_trouble=None)
WORKING = State(is_standing=False, in_hand=2, partitions=3, applied=9, troubles=1, last_trouble="batch tried again")


async def test_a_worker_is_paused_until_it_is_told_otherwise_and_then_believes_what_it_heard_last(
    desk_settings: Settings,
):
    def reports() -> list[tuple[object, ...]]:
        with connection(desk_settings) as conn:
            found = read_reports(conn, desk_settings)
        return [(one.owner, one.stands, one.in_hand, one.applied, one.last_error, one.is_silent) for one in found]

    reporter = Reporter(resolve(desk_settings).postgres, desk_settings.postgres, POSTGRES, "vm:1")
    assert reporter.is_paused
    await reporter.once(STANDING)
    assert not reporter.is_paused
    assert reports() == [("vm:1", True, 0, 5, None, False)]

    pause(desk_settings, "postgres", "reindex")
    await reporter.once(WORKING)
    assert reporter.is_paused
    assert reports() == [("vm:1", False, 2, 9, "batch tried again", False)]

    away = Reporter("postgresql://x@127.0.0.1:1/x", PostgresSettings(), POSTGRES, "vm:2")
    away.is_paused = False
    with pytest.raises(FAULTS):
        await away.once(WORKING)
    assert not away.is_paused, "an answer holds until there is another"

    resume(desk_settings, "postgres", "reindexed")
    await reporter.once(WORKING)
    assert not reporter.is_paused
    await reporter.end(RuntimeError("disk full"))
    assert reports() == [("vm:1", False, 0, 9, "worker ended: RuntimeError: disk full", True)]
    again = Reporter(resolve(desk_settings).postgres, desk_settings.postgres, POSTGRES, "vm:1")
    await again.once(STANDING)
    await again.end(None)
    assert reports() == []
