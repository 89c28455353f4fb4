"""Pause, resume and drain, with workers as processes; and what `status` says meanwhile."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from contract_events import Given
from kafka_topics import publish
from worker_process import Start, applied, caught_up, eventually, tailrace

from tailrace.addresses import resolve
from tailrace.operations import controls
from tailrace.operations.audit import entries
from tailrace.operations.controls import drain, pause, resume
from tailrace.operations.database import connection
from tailrace.operations.overview import ProjectionStatus, overview
from tailrace.settings import Settings

END_WAITERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE query LIKE '%UPDATE%runtime.progress p%' AND pid <> pg_backend_pid() AND datname = current_database()
"""


@pytest.fixture(autouse=True)
def _ana(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TAILRACE_ACTOR", "ana")


async def seen(live: Settings) -> ProjectionStatus:
    (found,) = await overview(live, datetime.now(UTC), ["postgres"])
    return found


async def has_stood(live: Settings, workers: int) -> None:
    async def stand() -> bool:
        return [one.stands for one in (await seen(live)).alive].count(True) == workers

    await eventually(stand, f"{workers} workers stand still")


def row(live: Settings, query: str) -> Any:
    with connection(live) as conn:
        return conn.execute(query.encode()).fetchall()


async def test_a_paused_projection_applies_nothing_in_any_process_until_it_is_resumed(
    live: Settings, start: Start, given: Given
):
    first, second = await start(), await start()
    await publish(live, [given.activity() for _ in range(20)])
    await caught_up(live)
    before = applied(live)
    running = await seen(live)
    assert running.state == "current"
    assert running.rate is not None
    assert running.claimed == len(running.position.partitions)

    await asyncio.to_thread(pause, live, "postgres", "reindex")
    await has_stood(live, 2)
    await publish(live, [given.activity() for _ in range(30)])
    assert await second.stop() == 0
    third = await start()
    await eventually(lambda: third.said("partitions_assigned"), "the third joined")
    await has_stood(live, 2)

    assert (await seen(live)).state == "paused"
    assert (await seen(live)).position.lag == 30
    assert applied(live) == before
    assert (first.owned(), first.is_alive) != (0, False)
    code, printed = await tailrace(live, "status")
    assert code == 0
    assert "‖ paused" in printed
    assert 'paused by ana: "reindex"' in printed
    document = (await seen(live)).document()
    assert (document["state"], document["lag"], document["paused"]["by"]) == ("paused", 30, "ana")
    assert 0 < document["behind_seconds"] < 60
    assert document["behind_event_seconds"] is not None

    await asyncio.to_thread(resume, live, "postgres", "reindexed")
    await caught_up(live)
    assert applied(live) == before + 30
    assert [(one.command, one.reason, one.before["state"], one.after["state"]) for one in entries(live)] == [
        ("projection resume", "reindexed", "paused", "running"),
        ("projection pause", "reindex", "running", "paused"),
    ]


async def test_a_drain_waits_for_the_batch_in_hand_and_says_who_holds_it(live: Settings, start: Start, given: Given):
    worker = await start()
    await publish(live, [given.activity()])
    await caught_up(live)
    with psycopg.connect(resolve(live).postgres) as holder:
        holder.execute("SELECT 1 FROM runtime.progress FOR UPDATE")
        await publish(live, [given.activity()])

        async def has_batch() -> bool:
            return any(one.in_hand for one in (await seen(live)).alive)

        await eventually(has_batch, "a batch waits for the lock")
        late = await asyncio.to_thread(drain, live, "postgres", "upgrade", timeout_s=1.5)
        assert [one.owner for one in late.holding] == [worker.owner]
        assert (await seen(live)).state == "paused"
        code, printed = await tailrace(
            live, "projection", "drain", "postgres", "--reason", "again", "--timeout", "1", "-o", "json"
        )
        assert (code, json.loads(printed)["postgres"]["state"]) == (7, "paused")

    done = await asyncio.to_thread(drain, live, "postgres", "upgrade")
    assert (done.is_complete, done.fenced) == (True, ())
    assert (await seen(live)).state == "drained"
    assert applied(live) == 2, "what was in hand is applied"

    code, _ = await tailrace(live, "projection", "resume", "postgres", "--reason", "upgraded")
    await publish(live, [given.activity()])
    await caught_up(live)
    assert (code, worker.is_alive, applied(live)) == (0, True, 3)


async def test_a_process_that_hangs_with_a_batch_in_hand_is_fenced(
    live: Settings, start: Start, given: Given, monkeypatch: pytest.MonkeyPatch
):
    worker = await start()
    await publish(live, [given.activity()])
    await caught_up(live)
    with psycopg.connect(resolve(live).postgres) as holder:
        holder.execute("SELECT 1 FROM runtime.progress FOR UPDATE")
        await publish(live, [given.activity()])

        async def has_batch() -> bool:
            return any(one.in_hand for one in (await seen(live)).alive)

        await eventually(has_batch, "a batch waits for the lock")
        pid = int(worker.owner.rpartition(":")[2])
        os.kill(pid, signal.SIGSTOP)
        # What it waits for on the server ends here, as it does when a machine is cut off: its transaction is gone.
        row(live, END_WAITERS)
    monkeypatch.setattr(controls, "SILENT_S", 2.0)

    done = await asyncio.to_thread(drain, live, "postgres", "upgrade")

    assert [one.owner for one in done.fenced] == [worker.owner]
    epochs = row(live, "SELECT topic, partition, epoch, next_offset FROM runtime.progress ORDER BY 1, 2")
    os.kill(pid, signal.SIGCONT)
    await has_stood(live, 1)
    assert row(live, "SELECT topic, partition, epoch, next_offset FROM runtime.progress ORDER BY 1, 2") == epochs

    await asyncio.to_thread(resume, live, "postgres", "upgraded")
    await caught_up(live)
    assert applied(live) == 2


async def test_lag_moves_while_no_worker_runs_and_a_projection_nobody_started_is_unknown(
    live: Settings, start: Start, given: Given
):
    worker = await start()
    await publish(live, [given.activity()])
    await caught_up(live)
    assert await worker.stop() == 0
    await publish(live, [given.activity() for _ in range(3)])

    first = await seen(live)
    await publish(live, [given.activity()])
    later = await seen(live)

    assert (first.state, first.position.lag, first.rate, first.claimed) == ("down", 3, None, None)
    assert later.position.lag == 4
    assert first.behind_s is not None
    assert later.behind_s is not None
    assert 0 < first.behind_s < later.behind_s < 60
    (search,) = await overview(live, datetime.now(UTC), ["search"])
    assert (search.state, search.position.lag, search.behind_s, search.rate) == ("new", None, None, None)
    code, _ = await tailrace(live, "lag", "--max-seconds", "0.01")
    assert code == 10
