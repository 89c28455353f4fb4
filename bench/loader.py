"""The bare loader: the least that brings the same log into the same tables, written as well as it can be.

It fetches, parses and writes as the worker does (the same batch size, the next batch parsed while this one is written,
uvloop, tuned garbage collection), but promises nothing: no schema is checked, no progress kept beside the data, no id
recognised, nothing counted. Progress is Kafka's own.

Run by postgres_worker.py. Prints `reading` when it has its partitions and `applied <records>` after each batch.
"""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

from tailrace.telemetry import tune_garbage_collector

POST_COLUMNS = (
    "message_id", "created_at", "workspace_id", "channel_id", "user_id", "content", "message_type",
    "formatted_content", "thread_id", "mentions", "client_msg_id", "updated_at", "posted_at", "posted_length",
    "posted_sequence", "posted_event",
)  # fmt: skip
REACTION_COLUMNS = (
    "message_id", "user_id", "emoji", "channel_id", "message_created_at", "added_at", "is_active", "first_added_at",
    "sequence", "event_id",
)  # fmt: skip
EDIT_COLUMNS = ("message_id", "content", "edited_at")
DELETE_COLUMNS = ("message_id", "is_deleted", "deleted_at")
MILLISECOND = timedelta(milliseconds=1)

STAGING = f"""
CREATE TEMP TABLE staged_posts ON COMMIT DELETE ROWS AS SELECT {", ".join(POST_COLUMNS)} FROM collab.messages LIMIT 0;
CREATE TEMP TABLE staged_reactions ON COMMIT DELETE ROWS
    AS SELECT {", ".join(REACTION_COLUMNS)} FROM collab.message_reactions LIMIT 0;
CREATE TEMP TABLE staged_edits ON COMMIT DELETE ROWS
    AS SELECT {", ".join(EDIT_COLUMNS)}, created_at AS first, created_at AS last FROM collab.messages LIMIT 0;
CREATE TEMP TABLE staged_deletes ON COMMIT DELETE ROWS
    AS SELECT {", ".join(DELETE_COLUMNS)}, created_at AS first, created_at AS last FROM collab.messages LIMIT 0
"""  # noqa: S608 - names of ours
MERGE_POSTS = f"""
INSERT INTO collab.messages ({", ".join(POST_COLUMNS)})
SELECT {", ".join(POST_COLUMNS)} FROM staged_posts ORDER BY message_id
ON CONFLICT (message_id, created_at) DO NOTHING
"""  # noqa: S608 - names of ours
MERGE_REACTIONS = f"""
INSERT INTO collab.message_reactions AS r ({", ".join(REACTION_COLUMNS)})
SELECT {", ".join(REACTION_COLUMNS)} FROM staged_reactions ORDER BY message_id, user_id, emoji
ON CONFLICT (message_id, user_id, emoji_key) DO UPDATE SET added_at = excluded.added_at,
    is_active = excluded.is_active, sequence = excluded.sequence, event_id = excluded.event_id
"""  # noqa: S608 - names of ours
MERGE_EDITS = """
UPDATE collab.messages m SET content = s.content, edited_at = s.edited_at
FROM staged_edits s WHERE m.message_id = s.message_id AND m.created_at BETWEEN s.first AND s.last
"""
MERGE_DELETES = """
UPDATE collab.messages m SET is_deleted = s.is_deleted, deleted_at = s.deleted_at
FROM staged_deletes s WHERE m.message_id = s.message_id AND m.created_at BETWEEN s.first AND s.last
"""


@dataclass
class Rows:
    """What one batch stages. Of what happens to one row twice in a batch, the last counts."""

    records: int = 0
    posts: list[tuple[Any, ...]] = field(default_factory=list)
    reactions: dict[tuple[str, str, str], tuple[Any, ...]] = field(default_factory=dict)
    edits: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    deletes: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def add(self, values: Iterable[bytes]) -> None:
        for value in values:
            self.records += 1
            event = orjson.loads(value)
            match event["type"]:
                case "collab.message.posted":
                    self.posts.append(_post(event))
                case "collab.reaction.added" | "collab.reaction.removed":
                    row = _reaction(event)
                    self.reactions[row[0], row[1], row[2]] = row
                case "collab.message.edited":
                    data = event["data"]
                    time = datetime.fromisoformat(data["edited_at"])
                    self.edits[data["message_id"]] = (data["message_id"], data["content"], time, *_created(data))
                case "collab.message.deleted" | "collab.message.restored":
                    data, gone = event["data"], event["type"] == "collab.message.deleted"
                    deleted_at = datetime.fromisoformat(event["time"]) if gone else None
                    self.deletes[data["message_id"]] = (data["message_id"], gone, deleted_at, *_created(data))


def _post(event: dict[str, Any]) -> tuple[Any, ...]:
    data, time = event["data"], datetime.fromisoformat(event["time"])
    formatted = data.get("formatted_content")
    return (
        data["message_id"], datetime.fromisoformat(data["created_at"]), data["workspace_id"], data["channel_id"],
        data["user_id"], data["content"], data["message_type"],
        None if formatted is None else orjson.dumps(formatted).decode(), data.get("thread_id"), data["mentions"],
        data.get("client_msg_id"), time, time, len(data["content"]), int(event["sequence"]), event["id"],
    )  # fmt: skip


def _reaction(event: dict[str, Any]) -> tuple[Any, ...]:
    data, time = event["data"], datetime.fromisoformat(event["time"])
    added = event["type"] == "collab.reaction.added"
    return (
        data["message_id"], data["user_id"], data["emoji"], data["channel_id"], _created(data)[0], time, added,
        time if added else None, int(event["sequence"]), event["id"],
    )  # fmt: skip


def _created(data: dict[str, Any]) -> tuple[datetime, datetime]:
    """When the message was created: as the event says, else the millisecond that its id begins with."""
    hint = data.get("message_created_at")
    if hint is not None:
        time = datetime.fromisoformat(hint)
        return time, time
    message_id = data["message_id"]
    time = datetime.fromtimestamp(int(message_id[:8] + message_id[9:13], 16) / 1000, UTC)
    return time, time + MILLISECOND


async def write(connection: asyncpg.Connection, rows: Rows) -> None:
    async with connection.transaction():
        for table, columns, staged, merge in (
            ("staged_posts", POST_COLUMNS, rows.posts, MERGE_POSTS),
            ("staged_reactions", REACTION_COLUMNS, list(rows.reactions.values()), MERGE_REACTIONS),
            ("staged_edits", (*EDIT_COLUMNS, "first", "last"), list(rows.edits.values()), MERGE_EDITS),
            ("staged_deletes", (*DELETE_COLUMNS, "first", "last"), list(rows.deletes.values()), MERGE_DELETES),
        ):
            if staged:
                await connection.copy_records_to_table(table, columns=columns, records=staged)
                await connection.fetch(merge)


async def connect(dsn: str) -> asyncpg.Connection:
    # The same plans as the worker's: made on empty tables, others would turn quadratic as these fill.
    planner = {"jit": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "bench loader", **planner})
    await connection.execute(STAGING)
    return connection


class Told(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    async def on_partitions_revoked(self, revoked: Any) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Any) -> None:
        if assigned:
            print("reading", flush=True)


async def gather(consumer: AIOKafkaConsumer, batch: int) -> Rows:
    """Read until the batch is full, or nothing came for a moment."""
    rows = Rows()
    while rows.records < batch:
        fetched = await consumer.getmany(timeout_ms=200, max_records=batch - rows.records)
        if not fetched and rows.records:
            break
        for records in fetched.values():
            for start in range(0, len(records), 250):
                rows.add(record.value for record in records[start : start + 250])
                await asyncio.sleep(0)  # lets the database's answers in
    return rows


async def load(arguments: argparse.Namespace) -> None:
    connection = await connect(arguments.dsn)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=arguments.kafka, group_id=arguments.group, enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_bytes=32 * 2**20, max_partition_fetch_bytes=4 * 2**20,
    )  # fmt: skip
    await consumer.start()
    consumer.subscribe(topics=arguments.topics, listener=Told())
    try:
        applied = 0
        rows = await gather(consumer, arguments.batch)
        while True:
            reached = {tp: await consumer.position(tp) for tp in consumer.assignment()}
            writing = asyncio.create_task(write(connection, rows))
            following = (
                await gather(consumer, arguments.batch) if applied + rows.records < arguments.records else Rows()
            )
            await writing
            await consumer.commit(reached)
            applied += rows.records
            print(f"applied {applied}", flush=True)
            if not following.records:
                break
            rows = following
        await asyncio.Event().wait()  # until it is told to stop, so that its memory and backend can be read
    finally:
        await consumer.stop()
        await connection.close()


async def run(arguments: argparse.Namespace) -> None:
    loading = asyncio.ensure_future(load(arguments))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loading.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await loading


def main() -> None:
    parser = argparse.ArgumentParser(description="The bare loader that the worker is compared with.")
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--batch", type=int, default=5_000)
    parser.add_argument("topics", nargs="+")
    arguments = parser.parse_args()
    tune_garbage_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(arguments))


if __name__ == "__main__":
    main()
