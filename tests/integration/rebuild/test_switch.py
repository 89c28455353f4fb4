"""Everything is rebuilt and switched while all of it is used, and nobody who reads sees anything of that."""

import asyncio
import os
import random
from pathlib import Path

import pytest
from rebuilt import Instance
from three_stores import Readers, Traffic

pytestmark = pytest.mark.integration

RATE = int(os.environ.get("TAILRACE_TEST_REBUILD_RATE", "60"))
"""Events a second throughout. The two cores of a small machine also run four servers, three workers and the readers."""
KILLS = int(os.environ.get("TAILRACE_TEST_REBUILD_KILLS", "1"))
KILLED_WITHIN_S = float(os.environ.get("TAILRACE_TEST_REBUILD_KILLED_WITHIN_S", "8"))
BEFORE_S = float(os.environ.get("TAILRACE_TEST_REBUILD_BEFORE_S", "4"))
"""Traffic before the first rebuild, in seconds."""


async def test_readers_of_three_stores_see_nothing_of_a_rebuild_its_kills_the_switch_and_the_way_back(
    instance: Instance,
) -> None:
    dice = random.Random(int(os.environ.get("TAILRACE_TEST_SEED", "20261121")))
    traffic, readers = Traffic(instance.settings, RATE, seed=1), Readers(instance.settings)
    await traffic.publish(traffic.world())
    async with instance.workers() as log_file:
        assert (await instance.run("wait", "--timeout", "60"))["applied"]
        readers.start()
        traffic.start()
        try:
            await asyncio.sleep(BEFORE_S)
            kills = [
                await instance.killed("rebuild", "all", "--reason", "killed", after_s=dice.uniform(2, KILLED_WITHIN_S))
                for _ in range(KILLS)
            ]
            rebuilt = await instance.run("rebuild", "all", "--verify", "--reason", "tested")
            back = await instance.run("rebuild", "rollback", "--reason", "tested")
        finally:
            traffic.stop()
            await instance.run("wait", "--timeout", "60")
            readers.stop()
        verified = await instance.run("verify")

    assert any(kills)
    assert rebuilt["comparison"]["differences"] == 0
    assert rebuilt["verified"] == 0
    assert rebuilt["comparison"]["rows"] > 0
    assert back["switched"]["from_version"] == rebuilt["version"]
    assert readers.complaints == []
    assert min(readers.seen.values()) > 0
    assert {name: table["differences"] for name, table in verified["projections"].items() if table["count"]} == {}
    assert not _went_wrong(log_file), "no worker was fenced or had to try again"


def _went_wrong(log_file: Path) -> list[str]:
    said = log_file.read_text().splitlines()
    return [line for line in said if any(f'"{event}"' in line for event in ("fenced", "batch_retried"))]
