"""An operator's day: live traffic, rows, keys and documents damaged by hand, found, replayed, undone, repaired."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from elasticsearch import Elasticsearch
from worker_process import command, environment, eventually

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError
from tailrace.mending.filling import Pace
from tailrace.mending.plans import get_plan, make_plan
from tailrace.mending.replay import REPAIR, Outcome, Work, apply, repair, undo
from tailrace.mending.scope import Scope
from tailrace.months.keeper import ensure_partitions
from tailrace.operations.audit import entries
from tailrace.operations.database import connection
from tailrace.operations.jobs import jobs
from tailrace.operations.migrations import migrate
from tailrace.operations.positions import wait
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings
from tailrace.verification.scope import Scope as Compared
from tailrace.verification.verify import Verification, verify
from tailrace.workload import generate, named_profile, publish_records

START = datetime(2026, 10, 20, tzinfo=UTC)
EVENTS, LIVE_EVENTS, LIVE_PER_S = 2_500, 1_500, 100
GROUPS = ("postgres", "redis", "search")
REASON = "altered by hand"
STRANGER = """
INSERT INTO collab.channel_members (channel_id, user_id, workspace_id, registers, joined_at, is_active)
SELECT m.channel_id, u.user_id, m.workspace_id, m.registers, m.joined_at, m.is_active
FROM collab.channel_members m CROSS JOIN collab.users u
WHERE m.channel_id = %s
  AND NOT EXISTS (SELECT FROM collab.channel_members o WHERE o.channel_id = m.channel_id AND o.user_id = u.user_id)
LIMIT 1
"""


@asynccontextmanager
async def worker(settings: Settings, log_file: Path) -> AsyncIterator[None]:
    own = {
        "TAILRACE_REDIS__KEY_PREFIX": settings.redis.key_prefix,
        "TAILRACE_ELASTICSEARCH__INDEX_PREFIX": settings.elasticsearch.index_prefix,
        "TAILRACE_ELASTICSEARCH__SHARDS": "1",
    }
    with log_file.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command("worker", "run", "postgres", "redis", "search"),
            env=environment(settings) | own, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(frozen=True)
class Victims:
    """A workspace's busiest channel and day, and messages there."""

    workspace: str
    channel: str
    day: datetime
    messages: list[str]


def victims(conn: psycopg.Connection[Any]) -> Victims:
    workspace, channel, day = conn.execute(
        "SELECT workspace_id::text, channel_id::text, date_trunc('day', created_at AT TIME ZONE 'UTC')"
        " FROM collab.messages WHERE NOT is_deleted GROUP BY 1, 2, 3 ORDER BY count(*) DESC LIMIT 1"
    ).fetchone() or ("", "", START)
    messages = conn.execute(
        "SELECT message_id::text FROM collab.messages WHERE channel_id = %s AND NOT is_deleted"
        " AND date_trunc('day', created_at AT TIME ZONE 'UTC') = %s ORDER BY created_at",
        [channel, day],
    ).fetchall()
    return Victims(workspace, channel, day.replace(tzinfo=UTC), [message for (message,) in messages])


def damage(settings: Settings, conn: psycopg.Connection[Any], who: Victims, client: Elasticsearch) -> int:
    """Delete and alter rows, keys and documents by hand; returns how many rows of the tables are wrong now."""
    changes = (
        ("DELETE FROM collab.messages WHERE message_id = %s", [who.messages[0]]),
        ("UPDATE collab.messages SET content = 'nobody wrote this' WHERE message_id = %s", [who.messages[1]]),
        ("UPDATE collab.channels SET name = 'elsewhere', member_count = 99 WHERE channel_id = %s", [who.channel]),
        ("UPDATE analytics.daily_active_users SET message_count = 777 WHERE workspace_id = %s AND date = %s",
         [who.workspace, who.day.date()]),
        (STRANGER, [who.channel]),
    )  # fmt: skip
    counts = [conn.execute(text.encode(), values).rowcount for text, values in changes]
    assert counts == [1] * len(changes)
    with redis.Redis.from_url(resolve(settings).redis) as keys:
        keys.lpush(f"{settings.redis.key_prefix}recent_messages:{who.channel}", b'{"message_id": "forged"}')
    alias = f"{settings.elasticsearch.index_prefix}messages"
    client.indices.refresh(index=alias)
    found = client.search(index=alias, query={"ids": {"values": who.messages[2:4]}})["hits"]["hits"]
    client.delete(index=found[0]["_index"], id=found[0]["_id"], refresh=True)
    forged = found[1]["_source"] | {"content": "nobody wrote this"}
    client.index(index=found[1]["_index"], id=found[1]["_id"], document=forged, refresh=True)
    return len(changes)


async def verified(settings: Settings, scope: Compared | None = None) -> Verification:
    run = partial(verify, settings, GROUPS, limit=50, scope=scope or Compared())
    return await asyncio.to_thread(run)


def shown(found: Verification | Outcome) -> str:
    said = found.document()
    wrong = {name: one["differences"][:1] for name, one in said.get("projections", {}).items() if one["count"]}
    return json.dumps({**said, "projections": wrong}, default=str)[:3_000]


@pytest.fixture
async def live(settings: Settings, elasticsearch_url: str, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of stores that workers keep equal to the log, with a few days in them."""
    del elasticsearch_url
    settings.kafka.partitions, settings.kafka.partitions_small = 2, 1
    with connection(settings) as conn:
        migrate(conn, settings)
        ensure_partitions(conn, settings, now=START + timedelta(days=30))
    await apply_topics(settings, resolve(settings).kafka)
    records = list(generate(named_profile("demo", start=START, events=EVENTS)))
    await publish_records(resolve(settings).kafka, records, settings=settings)
    async with worker(settings, tmp_path / "worker.log"):

        async def started() -> bool:
            with connection(settings) as conn:
                row = conn.execute("SELECT count(DISTINCT projection) FROM runtime.progress").fetchone()
            return bool(row and row[0] == len(GROUPS))

        await eventually(started, "all three projections have begun")
        assert await wait(settings, 60) == {}
        yield settings


@dataclass(frozen=True)
class Day:
    """What one test goes through; each step begins where the one before it ended."""

    live: Settings
    conn: psycopg.Connection[Any]
    client: Elasticsearch
    who: Victims

    @property
    def scope(self) -> Scope:
        return Scope(workspace=self.who.workspace, since=self.who.day, until=self.who.day + timedelta(days=1))

    async def plan(self) -> str:
        plan = await asyncio.to_thread(make_plan, self.live, self.scope, "ana", datetime.now(UTC))
        assert 0 < plan.estimate["records"] < plan.estimate["records_to_fold"]
        return plan.plan_id

    async def apply(self, plan_id: str, pace: Pace) -> Outcome:
        return await asyncio.to_thread(apply, self.live, plan_id, REASON, pace, datetime.now(UTC))

    async def finds_the_damage(self) -> None:
        found = await verified(self.live)
        assert {name for name, report in found.reports.items() if report.count} >= {
            "messages", "channels", "channel_members", "analytics.daily_active_users", "redis.recent_messages",
            "search.messages",
        }  # fmt: skip
        lost = next(d for d in found.reports["messages"].differences if d.key["message_id"] == self.who.messages[0])
        assert lost.found is None
        assert "collab.message.posted" in {event["type"] for event in lost.events}
        elsewhere = await verified(self.live, Compared(key=self.who.messages[-1]))
        wrong = {name for name, report in elsewhere.reports.items() if report.count}
        assert wrong == {"redis.recent_messages"}, shown(elsewhere)  # the list that it stands in, among what was forged

    async def mends_exactly_the_damage(self, rows: int) -> Outcome:
        plan_id = await self.plan()
        with pytest.raises(PreconditionError, match="expired"):
            apply(self.live, plan_id, REASON, Pace(), datetime.now(UTC) + timedelta(minutes=31))
        mended = await self.apply(plan_id, Pace(rate=50_000, lag_ceiling_s=60))
        assert mended.tables.rows == rows, shown(mended)
        assert mended.tables.missing == {"collab.messages": 1}
        assert mended.tables.extra == {"collab.channel_members": 1}
        assert get_plan(self.live, plan_id).job_id == mended.job_id
        await self.is_sound()
        return mended

    async def undoes_and_repairs(self, job_id: str, rows: int) -> None:
        undone, _ = await asyncio.to_thread(undo, self.live, job_id, "it was right")
        assert (undone.rows, undone.moved_on) == (rows, 0)
        query = "SELECT content FROM collab.messages WHERE message_id = %s"
        assert self.conn.execute(query, [self.who.messages[1]]).fetchone() == ("nobody wrote this",)
        looked = await asyncio.to_thread(repair, self.live, Work(REPAIR, "postgres", Scope(), REASON, dry_run=True))
        assert looked.tables.rows == rows, shown(looked)
        repaired = await asyncio.to_thread(repair, self.live, Work(REPAIR, "postgres", Scope(), REASON))
        assert repaired.tables.rows == rows, shown(repaired)
        await self.is_sound()

    async def is_sound(self) -> None:
        sound = await verified(self.live)
        assert sound.differences == 0, shown(sound)

    def is_on_record(self) -> None:
        with jobs(self.live) as desk:
            assert [job.state for job in desk.list_jobs()] == ["done"] * 4
        said = {(entry.command, entry.reason, entry.outcome) for entry in entries(self.live)}
        assert {("replay", REASON, "done"), ("repair", REASON, "done"), ("replay undo", "it was right", "done")} <= said
        repairs = [entry.after for entry in entries(self.live) if entry.command == "repair"]
        assert sorted("dry_run" in after for after in repairs) == [False, True]
        left = self.conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '_v[0-9]+$'").fetchone()
        assert left == (0,)


async def test_what_was_damaged_is_found_mended_undone_and_repaired_beside_live_traffic(live: Settings):
    later = generate(named_profile("demo", start=START + timedelta(days=28), events=LIVE_EVENTS, seed=9))
    flowing = asyncio.create_task(publish_records(resolve(live).kafka, later, settings=live, rate=LIVE_PER_S))
    with (
        psycopg.connect(resolve(live).postgres, autocommit=True) as conn,
        Elasticsearch(resolve(live).elasticsearch) as client,
    ):
        day = Day(live, conn, client, victims(conn))

        # Nothing is wrong: no false alarm while events flow, and a replay changes nothing.
        await day.is_sound()
        quiet = await day.apply(await day.plan(), Pace())
        assert (quiet.tables.rows, quiet.stores.written) == (0, {}), shown(quiet)
        await flowing
        assert await wait(live, 60) == {}

        rows = damage(live, conn, day.who, client)
        await day.finds_the_damage()
        mended = await day.mends_exactly_the_damage(rows)
        await day.undoes_and_repairs(mended.job_id, rows)
        day.is_on_record()
