"""An event that the Redis worker's own code fails on: one dead letter of its own, and the others are cached."""

import pytest
from cached import Cached
from contract_events import Given, id_of, in_world
from read_models import Reader, log_of, partition_of

from tailrace.consumers.applying import Applier
from tailrace.consumers.redis import sink as redis_sink
from tailrace.settings import WorkerSettings


async def test_an_event_that_fails_is_kept_once_and_settled_when_it_comes_again(
    cached: Cached, given: Given, monkeypatch: pytest.MonkeyPatch
):
    named = given.posted("m2")
    bad = in_world(named)
    events = [in_world(given.channel()), in_world(given.posted("m1")), bad, in_world(given.posted("m3"))]
    log = log_of([*events, bad], cached.settings)
    cached.clear()
    await cached.models.apply([log])
    sink = cached.sink()
    reader, applier = Reader(cached.models, sink), Applier(sink, WorkerSettings(), lambda _: None)
    await reader.claim({partition_of(record) for record in log})

    def fails(events: list[object]) -> object:
        if any(getattr(event, "id", "") == bad["id"] for event in events):
            raise KeyError("of the projection")
        return dirty_of(events)

    dirty_of = redis_sink.dirty_of
    monkeypatch.setattr(redis_sink, "dirty_of", fails)
    for first in (True, False):
        batch = reader.batch(log[:4] if first else log[4:])
        if not first:
            monkeypatch.setattr(redis_sink, "dirty_of", dirty_of)
        await applier.apply(batch, {tp: span.epoch for tp, span in batch.spans.items()})
        letters = cached.models.execute("SELECT projection, code, event_id, subject FROM runtime.dead_letters")
        assert letters == [
            {"projection": "redis", "code": "E_PROJECTION", "event_id": named["id"], "subject": None},
        ]
    await sink.close()

    assert len(cached.value("recent_messages", id_of("c1"))) == 3
