"""Progress moves by compare-and-set: from exactly where it stands, by whoever claimed it last, or not at all."""

import pytest
from contract_events import Given, in_world
from read_models import Log, Reader, ReadModels, log_of, partition_of

from tailrace.consumers.errors import FencedError


def next_offset(models: ReadModels) -> int:
    (row,) = models.execute("SELECT next_offset FROM runtime.progress")
    return int(row["next_offset"])


@pytest.fixture
def log(models: ReadModels, given: Given) -> Log:
    models.clear()
    return log_of([in_world(given.posted(f"m{n}")) for n in range(4)], models.settings)


async def test_a_batch_that_was_passed_by_moves_nothing_back(models: ReadModels, log: Log):
    sink = models.sink()
    reader = Reader(models, sink)
    await reader.claim([partition_of(log[0])])
    first, second = reader.batch(log[:2]), reader.batch(log[2:])
    await sink.apply(first)
    await sink.apply(second)
    stood = models.contents()

    with pytest.raises(FencedError):
        await sink.apply(first)
    await sink.close()

    assert models.contents() == stood
    assert next_offset(models) == 4


async def test_a_batch_that_leaves_a_gap_is_not_applied(models: ReadModels, log: Log):
    sink = models.sink()
    reader = Reader(models, sink)
    await reader.claim([partition_of(log[0])])
    reader.batch(log[:2])

    with pytest.raises(FencedError):
        await sink.apply(reader.batch(log[2:]))
    await sink.close()

    assert next_offset(models) == 0
    assert models.worlds() == {}


async def test_a_batch_whose_commit_was_not_answered_is_found_applied(models: ReadModels, log: Log):
    sink = models.sink()
    reader = Reader(models, sink)
    await reader.claim([partition_of(log[0])])
    batch = reader.batch(log)
    await sink.apply(batch)
    stood = models.contents()

    outcome = await sink.apply(batch)
    await sink.close()

    assert outcome.events == 4
    assert models.contents() == stood
