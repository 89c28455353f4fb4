"""One story told in many worlds at once: each world gets the same events, delivered in another way.

All worlds share one log, cut into batches that mix them, so trying a dozen deliveries costs hardly more than one. What
every world must end with is the same; that the first one ends with the right thing is for the test to say.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from contract_events import CloudEvent, id_of, in_world
from read_models import Log, ReadModels, Tables, log_of

from tailrace.schemas.catalogue import EVENT_TYPES, key_of

SHUFFLES = 8
"""Orders that are tried beside the given one."""
ALL_ORDERS_UP_TO = 4
"""Of so few events every order is tried where any is meant (24 of 4)."""

Delivery = list[list[CloudEvent]]
"""Events in batches. A batch of one world is applied together with the others' batches of the same number."""
Order = Callable[[Sequence[CloudEvent], random.Random], list[CloudEvent]]


class Tell(Protocol):
    """Tells a story and gives the tables of the first world. `keep` names events that stay in their order."""

    async def __call__(self, *events: CloudEvent, keep: Sequence[CloudEvent] = ()) -> Tables: ...


@dataclass(frozen=True)
class Told:
    """What a story led to, and the log that told it."""

    tables: Tables
    log: Log


def as_given(events: Sequence[CloudEvent], _: random.Random) -> list[CloudEvent]:
    """The order of the story."""
    return list(events)


def across_keys(events: Sequence[CloudEvent], rng: random.Random) -> list[CloudEvent]:
    """Any order that the broker could give: each key's events stay in their order."""
    queues: dict[tuple[str, str], list[CloudEvent]] = {}
    for event in events:
        queues.setdefault(_key(event), []).append(event)
    waiting = [key for key, queue in queues.items() for _ in queue]
    rng.shuffle(waiting)
    iterators = {key: iter(queue) for key, queue in queues.items()}
    return [next(iterators[key]) for key in waiting]


def in_any_order(events: Sequence[CloudEvent], rng: random.Random) -> list[CloudEvent]:
    """Any order at all, as if every event had taken a way of its own to the log."""
    return rng.sample(events, len(events))


def keeping(*fixed: CloudEvent) -> Order:
    """Any order at all in which these events keep theirs."""

    def order(events: Sequence[CloudEvent], rng: random.Random) -> list[CloudEvent]:
        in_turn = iter(fixed)
        return [next(in_turn) if event in fixed else event for event in in_any_order(events, rng)]

    return order


def _key(event: CloudEvent) -> tuple[str, str]:
    known = EVENT_TYPES.get(event["type"])
    if known is None:
        return "conversations", event["data"]["channel_id"]
    return known.topic, key_of(event["type"], event["data"])


def deliveries(events: Sequence[CloudEvent], order: Order, rng: random.Random) -> Iterator[Delivery]:
    """The story at once; event by event; each event twice; all of it twice; then in other orders and batches."""
    yield [list(events)]
    yield [[event] for event in events]
    yield _cut([event for event in events for _ in range(2)], rng)
    yield _cut([*events, *events], rng)
    if order is as_given:
        return
    if order is in_any_order and len(events) <= ALL_ORDERS_UP_TO:
        orders: Iterator[list[CloudEvent]] = map(list, itertools.permutations(events))
    else:
        orders = (order(events, rng) for _ in range(SHUFFLES))
    for shuffled in orders:
        again = rng.sample(shuffled, len(shuffled) // 3)
        yield _cut(shuffled if order is across_keys else [*shuffled, *again], rng)


def _cut(events: list[CloudEvent], rng: random.Random) -> Delivery:
    cuts = sorted(rng.sample(range(1, len(events)), rng.randrange(len(events)))) if len(events) > 1 else []
    return [events[start:end] for start, end in itertools.pairwise([0, *cuts, len(events)])]


async def tell(models: ReadModels, events: Sequence[CloudEvent], order: Order, *, seed: int = 1) -> Told:
    """Deliver the story to empty tables in every way, then the whole log once more from its beginning.

    After each of the two, all tables must equal the fold of the log, and all worlds each other.
    """
    rng = random.Random(seed)
    worlds = list(deliveries(events, order, rng))
    batches = [
        [in_world(event, world) for world, batch in numbered if batch for event in batch]
        for numbered in (list(enumerate(step)) for step in itertools.zip_longest(*worlds))
    ]
    log = log_of([event for batch in batches for event in batch], models.settings)
    ends = list(itertools.accumulate(map(len, batches)))
    models.clear()
    await models.apply(log[start:end] for start, end in itertools.pairwise([0, *ends]))
    first = _check(models, log, len(worlds))
    models.rewind()
    size = rng.choice([3, 20, len(log)])
    await models.apply(log[start : start + size] for start in range(0, len(log), size))
    replayed = _check(models, log, len(worlds))
    assert replayed.all == first.all
    return Told(first, log)


def _check(models: ReadModels, log: Log, count: int) -> Tables:
    assert models.differences(log) == {}
    found = models.worlds()
    first = found.pop(0, Tables({}))
    for world in range(1, count):
        assert found.get(world, Tables({})).all == first.all, f"world {world} is not like the first"
    return first


def dead_letters(models: ReadModels, event: CloudEvent) -> set[str]:
    """Codes under which an event of the first world became a dead letter."""
    rows = models.execute("SELECT code FROM runtime.dead_letters WHERE event_id = %s", id_of(event["id"]))
    return {row["code"] for row in rows}
