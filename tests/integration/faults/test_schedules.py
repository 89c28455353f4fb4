"""A short selection of the fault bench (`make faults` runs the long one): workers, servers and connections fail."""

from collections.abc import Iterator

import pytest
from bench_servers import BenchServers
from campaign import run
from schedules import RESTARTS, schedule

from tailrace.settings import Settings

EVENTS = 4_000
SPAN_S = 6.0
SEEDS = (2, 3)
"""One with a follower whose store is emptied, one that restarts a server."""


@pytest.fixture(scope="module")
def servers(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BenchServers]:
    """Servers of their own: they are restarted and killed."""
    made = BenchServers(tmp_path_factory.mktemp("faults") / "stack", stack_settings.cache_dir)
    try:
        made.up(["kafka", "postgres", "redis"])
        yield made
    finally:
        made.down(purge=True)


def test_a_seed_is_a_schedule_of_at_least_five_faults():
    assert schedule(7, EVENTS, span_s=SPAN_S) == schedule(7, EVENTS, span_s=SPAN_S)
    kinds = {seed: {fault.kind for fault in schedule(seed, EVENTS, span_s=SPAN_S).faults} for seed in range(80)}
    assert len({kind for found in kinds.values() for kind in found}) == 20
    assert all(len(schedule(seed, EVENTS, span_s=SPAN_S).faults) >= 5 for seed in range(80))
    assert kinds[SEEDS[0]] & {"flush_redis", "crash_redis"}
    assert kinds[SEEDS[1]] & set(RESTARTS)


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_doubled_or_brought_back(servers: BenchServers, seed: int):
    result = await run(schedule(seed, EVENTS, span_s=SPAN_S, search=False), servers, f"faults_{seed}")

    assert result.wrong == {}, result.line()
    assert result.checked > EVENTS / 2
