"""What becomes of a stream when its broker goes away, or when it hangs itself."""

import asyncio
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from channel_life import Life, value_of

from tailrace import stack
from tailrace.settings import Settings

HANGS = "import tailrace.streams.pipeline as it, asyncio\nasync def hang(*_): await asyncio.Future()\n"
BLOCKS = "import tailrace.streams.pipeline as it, time\nasync def hang(*_): time.sleep(1_000)\n"
SABOTAGE = "it.Pipeline.process = hang"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Settings]:
    """A broker that only this test uses."""
    settings = Settings(_env_file=None, data_dir=tmp_path / "servers")
    stack.up(settings, only=["kafka"])
    yield settings
    stack.down(settings, purge=True)


def events(count: int) -> list[dict]:
    life = Life(1, begins=datetime.now(UTC), step_s=0.001)
    return [*life.founding(), *life.events(count)]


async def put(topics, some: list[dict]) -> None:
    for event in some:
        await topics.put("inbound", value_of(event), partition=0)
    await topics.producer.flush()


async def has_come(topics, count: int) -> bool:
    return len({record.value for record in await topics.read("conversations")}) == count


@pytest.mark.slow
async def test_a_stream_waits_for_its_broker_as_long_as_it_may_and_goes_on_in_the_same_process(
    broker, topics_of, make_workers, eventually
):
    made = events(200)
    patient = make_workers("gateway", settings=broker, kafka__request_timeout_ms=2_000)
    hasty = make_workers("trends", settings=broker, kafka__request_timeout_ms=1_000, outage_max_s=1)
    async with topics_of(broker) as topics:
        patient.start()
        hasty.start()
        await put(topics, made[:100])
        await eventually(lambda: has_come(topics, 100))
        await eventually(lambda: "stream_ready" in hasty.log(0))
    await asyncio.to_thread(stack.down, broker)
    await eventually(lambda: "waiting_for_broker" in patient.log(0))
    gave_up = await asyncio.to_thread(hasty.running[0].wait, 60)
    hasty.start()
    never_began = await asyncio.to_thread(hasty.running[1].wait, 60)
    await asyncio.to_thread(stack.up, broker, only=["kafka"])
    async with topics_of(broker) as topics:
        await put(topics, made[100:])
        await eventually(lambda: has_come(topics, len(made)))

    assert (gave_up, never_began) == (5, 5)
    assert "fix  tailrace up" in hasty.log(1)
    assert patient.running[0].poll() is None
    assert patient.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(("how", "exit_code"), [(HANGS, 1), (BLOCKS, 71)])
async def test_a_stream_that_hangs_ends_and_another_one_does_its_work(
    how, exit_code, topics, make_workers, eventually
):  # fmt: skip
    made = events(50)
    hung = make_workers("gateway", sabotage=how + SABOTAGE, stall_timeout_s=3)
    hung.start()
    await put(topics, made)

    assert await asyncio.to_thread(hung.running[0].wait, 60) == exit_code
    healthy = make_workers("gateway")
    healthy.start()
    await eventually(lambda: has_come(topics, len(made)))
