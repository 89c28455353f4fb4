"""Worker processes on a real broker: killed, stopped, joined and fooled while events flow."""

import asyncio
import json
import random
import time
from datetime import UTC, datetime
from itertools import takewhile

from worker_process import LIVE_PARTITIONS, Start, applied, caught_up, eventually

from tailrace.addresses import resolve
from tailrace.settings import Settings
from tailrace.verification.verify import verify
from tailrace.workload import generate, named_profile, publish_records

START = datetime(2026, 10, 20, tzinfo=UTC)
FLOW_MAX = 20_000
FLOW_PER_S = 300
"""Slow enough for events to flow until everything has happened that is to happen meanwhile."""


class Flow:
    """Traffic that flows at a steady rate until it is told to end."""

    def __init__(self, live: Settings) -> None:
        records = takewhile(lambda _: not self._ended, generate(named_profile("demo", start=START, events=FLOW_MAX)))
        self._ended = False
        self._task = asyncio.create_task(publish_records(resolve(live).kafka, records, settings=live, rate=FLOW_PER_S))

    async def end(self) -> int:
        """Stop it; returns how many records it published."""
        self._ended = True
        return (await self._task).records


async def test_killed_joined_and_stopped_while_events_flow_nothing_is_lost_or_doubled(live: Settings, start: Start):
    rng = random.Random(time.time_ns())
    first = await start()
    await first.has_joined()
    flow = Flow(live)
    second = await start()
    await second.has_joined()
    assert first.owned() > 0
    so_far = applied(live) + rng.randint(1, 300)
    await eventually(lambda: applied(live) >= so_far, "records are applied by two")
    await first.kill()
    third = await start()
    await third.has_joined()

    assert await second.stop() == 0
    assert second.said("worker_stopped")
    await eventually(lambda: third.owned() == LIVE_PARTITIONS, "the last one has every partition")
    published = await flow.end()
    await caught_up(live)
    assert applied(live) == published
    verified = await asyncio.to_thread(verify, live, limit=3)
    assert verified.differences == 0, json.dumps(verified.document(), indent=1)
    assert await third.stop() == 0


async def test_stopped_before_a_long_log_it_leaves_the_rest_to_the_next(live: Settings, start: Start):
    live.worker.batch_max_events = 50
    records = list(generate(named_profile("messages", start=START, events=5_000)))
    await publish_records(resolve(live).kafka, records, settings=live)
    first = await start()
    await eventually(lambda: applied(live) > 0, "something is applied")
    assert await first.stop() == 0
    assert 0 < applied(live) < len(records)
    second = await start()

    await caught_up(live)
    assert applied(live) == len(records)
    assert (await asyncio.to_thread(verify, live, limit=3)).differences == 0
    assert await second.stop() == 0
