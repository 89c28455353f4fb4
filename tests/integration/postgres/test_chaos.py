"""Random colliding events, cut into random batches, in the middle of which another worker takes over.

`TAILRACE_CHAOS_SEEDS` and `TAILRACE_CHAOS_EVENTS` make it longer; a failing seed fails again.
"""

import os
import random

import pytest
from chaos import chaos
from read_models import Log, Queues, Reader, ReadModels, log_of, partition_of

from tailrace.consumers.errors import FencedError

SEEDS = int(os.environ.get("TAILRACE_CHAOS_SEEDS", "25"))
EVENTS = int(os.environ.get("TAILRACE_CHAOS_EVENTS", "150"))
REPEATED = 0.15
"""Share of the events that are published twice."""
SIZES = (1, 5, 50, 1_000)


def published(seed: int, models: ReadModels) -> Log:
    rng = random.Random(seed)
    events = chaos(seed, EVENTS)
    events += [event for event in events if rng.random() < REPEATED]
    rng.shuffle(events)
    return log_of(events, models.settings)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_taken_over_in_the_middle_the_first_is_fenced_and_nothing_is_lost_or_doubled(
    models: ReadModels, seed: int
):
    log, rng = published(seed, models), random.Random(-seed)
    models.clear()
    queues = Queues(log, rng, size=rng.choice(SIZES[:2]))
    first, second = models.sink(), models.sink()
    before, after = Reader(models, first, "first"), Reader(models, second, "second")
    await before.claim(queues.partitions)
    for _ in range(rng.randint(0, 4)):
        await first.apply(before.batch(queues.next()))

    late = before.batch(queues.next())
    taken = set(rng.sample(sorted(late.spans), rng.randint(1, len(late.spans))))
    await after.claim(taken)
    stood = models.contents()
    with pytest.raises(FencedError) as refused:
        await first.apply(late)
    assert refused.value.partitions == taken
    assert models.contents() == stood

    # The second owner reads everything from where the store stands; the first one wakes in between, with its old batch.
    await after.claim(queues.partitions)
    rest = Queues([r for r in log if r.offset >= after.positions[partition_of(r)]], rng, size=rng.choice(SIZES))
    while piece := rest.next():
        await second.apply(after.batch(piece))
        if rng.random() < 0.3:
            with pytest.raises(FencedError):
                await first.apply(late)
    await first.close()
    await second.close()

    assert models.differences(log) == {}


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + 1 + SEEDS // 3))
async def test_replayed_from_the_beginning_nothing_changes(models: ReadModels, seed: int):
    log, rng = published(seed, models), random.Random(-seed)
    models.clear()
    for _ in range(2):
        models.rewind()
        queues = Queues(log, rng, size=rng.choice(SIZES))
        await models.apply(iter(queues.next, []))

        assert models.differences(log) == {}
