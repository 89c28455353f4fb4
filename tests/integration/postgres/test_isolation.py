"""Which event is blamed when a transaction fails: one alone, and never the one that others waited for."""

from collections.abc import Sequence
from typing import Any

import pytest
from contract_events import CloudEvent, Given, id_of, in_world
from read_models import Log, Reader, ReadModels, log_of, partition_of
from refusing import OVERLONG, refuse_overlong

from tailrace.consumers.batch import Batch, Outcome, Span
from tailrace.consumers.errors import TooManyRefusedError
from tailrace.consumers.guard import RefusalGuard
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.errors import PreconditionError
from tailrace.projections.channels import CHANNEL_MEMBERS, CHANNELS
from tailrace.settings import WorkerSettings


class Told:
    """Applies events one batch after the other, as one owner, and remembers the log."""

    def __init__(self, models: ReadModels, sink: PostgresSink) -> None:
        self.models = models
        self.reader = Reader(models, sink)
        self.log: Log = []
        self._sink = sink
        self._events: list[CloudEvent] = []

    async def __call__(self, *events: CloudEvent, guard: RefusalGuard | None = None) -> Outcome:
        self._events += map(in_world, events)
        self.log = log_of(self._events, self.models.settings)
        new = self.log[-len(events) :]
        if not self.reader.positions:
            await self.reader.claim({partition_of(record) for record in self.log})
        batch = self.reader.batch(new)
        batch.guard = guard
        return await self._sink.apply(batch)

    async def wake(self, refused: CloudEvent) -> Outcome:
        partition = partition_of(self.log[0])
        at = self.reader.positions[partition]
        (epoch,) = (row["epoch"] for row in self.models.execute("SELECT epoch FROM runtime.progress"))
        span = Span(epoch, at, at, None, None, None)
        return await self._sink.apply(Batch(spans={partition: span}, wake=frozenset({id_of(refused["id"])})))

    def letters(self) -> list[tuple[Any, ...]]:
        return self._rows("SELECT code, event_id, attempts FROM runtime.dead_letters WHERE resolved_at IS NULL")

    def waiting(self) -> list[tuple[Any, ...]]:
        return self._rows('SELECT event_id, waits_for FROM runtime.parked_events WHERE behind ORDER BY "offset"')

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.models.execute(statement)]


@pytest.fixture
async def told(models: ReadModels):
    models.clear()
    refuse_overlong(models)
    sink = models.sink()
    yield Told(models, sink)
    await sink.close()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch):
    """Makes the fold of channels fail on those of a name, until it is mended."""

    def failing(row: dict[str, Any], event: Any) -> bool:
        if event.data.get("name") == "broken":
            raise KeyError(event.data["name"])
        return fold(row, event)

    fold = CHANNELS.fold
    object.__setattr__(CHANNELS, "fold", failing)
    yield lambda: object.__setattr__(CHANNELS, "fold", fold)
    object.__setattr__(CHANNELS, "fold", fold)


def reactions(models: ReadModels) -> Sequence[Any]:
    return [row["emoji"] for row in models.execute("SELECT emoji FROM collab.reactions ORDER BY emoji")]


async def test_an_exception_in_a_fold_is_one_dead_letter_and_its_neighbours_are_applied(
    told: Told, given: Given, models: ReadModels, broken: Any
):
    bad, later = given.channel("c1", name="broken"), given.channel("c1", "archived")
    outcome = await told(bad, given.joined("bo"), later, given.posted("m1"), given.channel("c1", "updated", name="x"))
    assert (outcome.faults, outcome.refused) == (1, 1)
    assert told.letters() == [("E_PROJECTION", bad["id"], 1)]
    assert [event for event, _ in told.waiting()] == [later["id"], "e5"]
    assert models.execute("SELECT count(*) FROM collab.messages")[0]["count"] == 1
    (row,) = models.execute("SELECT reason, subject, history FROM runtime.dead_letters")
    assert row["reason"].startswith("KeyError at ")
    assert row["subject"] == "c1"


async def test_what_a_constraint_forbids_is_one_dead_letter_and_its_neighbours_are_applied(
    told: Told, given: Given, models: ReadModels
):
    models.execute("ALTER TABLE collab.messages ADD CONSTRAINT polite CHECK (content <> 'rude')")
    try:
        bad = given.posted("m1", content="rude")
        outcome = await told(given.posted("m0"), bad, given.posted("m2"))
    finally:
        models.execute("ALTER TABLE collab.messages DROP CONSTRAINT polite")
    assert (outcome.faults, outcome.refused) == (1, 1)
    assert told.letters() == [("E_STORE", bad["id"], 1)]
    assert models.execute("SELECT count(*) FROM collab.messages")[0]["count"] == 2


async def test_mended_and_come_again_it_is_applied_before_all_that_waited(
    told: Told, given: Given, models: ReadModels, broken: Any
):
    bad = given.channel("c1", name="broken")
    await told(bad, given.channel("c1", "archived"))
    broken()
    await told(given.channel("c1", "updated", name="renamed"), bad, given.channel("c1", "unarchived"))
    assert (told.letters(), told.waiting()) == ([], [])
    (row,) = models.execute("SELECT name, is_archived FROM collab.channels")
    assert row == {"name": "renamed", "is_archived": False}
    assert models.differences(told.log) == {}


async def test_a_posting_is_not_blamed_for_the_reaction_that_waited_for_it(
    told: Told, given: Given, models: ReadModels
):
    reaction, later = given.reacted(OVERLONG, "m1"), given.reacted("🎉", "m1", "bo")
    await told(reaction, later)
    await told(given.posted("m1"), given.posted("m2"))
    assert told.letters() == [("E_STORE", reaction["id"], 1)]
    assert told.waiting() == [(later["id"], reaction["id"])]
    assert models.execute("SELECT count(*) FROM collab.messages")[0]["count"] == 2


async def test_discarded_and_woken_those_behind_it_are_applied_without_a_record(
    told: Told, given: Given, models: ReadModels
):
    bad = given.reacted(OVERLONG, "m1")
    await told(given.posted("m1"), bad, given.reacted("🎉", "m1"))
    models.execute("UPDATE runtime.dead_letters SET resolved_at = now(), resolution = 'discarded'")
    before = models.execute("SELECT next_offset, fingerprint FROM runtime.progress")
    await told.wake(bad)
    assert models.execute("SELECT next_offset, fingerprint FROM runtime.progress") == before
    assert (reactions(models), told.waiting()) == (["🎉"], [])


async def test_one_that_waited_and_is_refused_in_its_turn_leaves_those_behind_it_waiting(
    told: Told, given: Given, models: ReadModels
):
    first, second = given.reacted(OVERLONG, "m1"), given.reacted(OVERLONG + "y", "m1")
    await told(given.posted("m1"), first, second, given.reacted("🎉", "m1"))
    models.execute("UPDATE runtime.dead_letters SET resolved_at = now(), resolution = 'discarded'")
    await told.wake(first)
    assert told.letters() == [("E_STORE", second["id"], 1)]
    assert [behind for _, behind in told.waiting()] == [second["id"]]
    assert reactions(models) == []


async def test_a_repeat_of_the_refused_event_is_one_more_attempt_and_no_second_letter(told: Told, given: Given):
    bad = given.reacted(OVERLONG, "m1")
    await told(given.posted("m1"), bad)
    await told(bad)
    await told(bad, bad)
    (letter,) = told.letters()
    assert letter[:2] == ("E_STORE", bad["id"])
    assert letter[2] > 2


async def test_too_many_refusals_apply_and_record_nothing(told: Told, given: Given, models: ReadModels):
    guard = RefusalGuard(WorkerSettings(dead_letter_run_max=3))
    await told(given.posted("m0"))
    bad = [given.reacted(OVERLONG, f"m{n}") for n in range(5)]
    with pytest.raises(TooManyRefusedError):
        await told(*(given.posted(f"m{n}") for n in range(1, 5)), *bad, guard=guard)
    assert told.letters() == []
    assert models.execute("SELECT next_offset FROM runtime.progress") == [{"next_offset": 1}]


async def test_a_store_without_its_tables_blames_no_event(told: Told, given: Given, models: ReadModels):
    await told(given.channel("c1"))
    models.execute("ALTER TABLE collab.channel_members RENAME TO gone")
    try:
        with pytest.raises(PreconditionError, match="UndefinedTableError"):
            await told(given.joined("bo"))
    finally:
        models.execute("ALTER TABLE collab.gone RENAME TO channel_members")
    assert told.letters() == []
    assert CHANNEL_MEMBERS.table == "collab.channel_members"
