"""Random colliding events and signals; workers that wake late, repeat themselves and lose Redis in between.

`TAILRACE_CHAOS_SEEDS` and `TAILRACE_CHAOS_EVENTS` make it longer; a failing seed fails again.
"""

import os
import random

import pytest
from cached import Cached
from late_owners import live_through, published

SEEDS = int(os.environ.get("TAILRACE_CHAOS_SEEDS", "12"))
EVENTS = int(os.environ.get("TAILRACE_CHAOS_EVENTS", "200"))


@pytest.mark.parametrize("is_emptied", [False, True])
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_late_owners_and_repeats_leave_no_difference(cached: Cached, seed: int, *, is_emptied: bool):
    async def emptied() -> None:
        cached.empty()

    log = published(seed, cached, EVENTS)
    await live_through(cached, log, random.Random(-seed), [emptied, cached.fill] if is_emptied else [cached.fill])

    assert cached.differences(log) == {}
