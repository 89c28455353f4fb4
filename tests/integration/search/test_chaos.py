"""Random colliding events, applied to the tables and to the indices in random steps.

`TAILRACE_CHAOS_SEEDS` and `TAILRACE_CHAOS_EVENTS` make it longer; a failing seed fails again.
"""

import os
import random

import pytest
from chaos import chaos
from read_models import log_of
from searched import Searched

from tailrace.addresses import resolve
from tailrace.consumers.search.bulk import BulkWriter
from tailrace.consumers.search.indices import connect

SEEDS = int(os.environ.get("TAILRACE_CHAOS_SEEDS", "6"))
EVENTS = int(os.environ.get("TAILRACE_CHAOS_EVENTS", "250"))


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_the_order_searches_find_what_the_log_says(
    searched: Searched, seed: int, monkeypatch: pytest.MonkeyPatch
):
    rng = random.Random(seed)
    monkeypatch.setattr("tailrace.consumers.search.prefetching.SMALL_BATCH_EVENTS", 1 if seed % 2 else 1_000)
    monkeypatch.setattr("tailrace.consumers.search.prefetching.PART_DOCUMENTS", rng.choice([1, 7, 2_000]))
    events = chaos(seed, EVENTS)
    events += [event for event in events if rng.random() < 0.15]
    rng.shuffle(events)
    searched.begin(inline_max=rng.choice([0, 3, 2_000]), own_index_members=3, own_index_members_low=2)
    log = log_of(events, searched.settings)

    sent = await searched.interleave(log, rng, rng.choice([1, 5, 50, 1_000]))

    assert searched.differences(log) == {}
    late = rng.sample(sent, len(sent) // 2)
    existing = {f"{searched.prefix}{name}" for name in await searched.indices()}
    async with connect(resolve(searched.settings).elasticsearch, searched.settings.elasticsearch) as client:
        for writes in late:
            await BulkWriter(client, searched.settings.elasticsearch).send([w for w in writes if w.target in existing])
    assert searched.differences(log) == {}
