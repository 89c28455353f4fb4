"""The ways out of a halt, and a log that lacks a topic."""

import asyncio
import json
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from contract_events import Given
from kafka_topics import publish, recreate
from worker_process import Start, caught_up, eventually, progress, tailrace

from tailrace.addresses import resolve
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings
from tailrace.verification.verify import verify


def halted(live: Settings) -> dict[str, str]:
    """Codes by short topic."""
    rows = (row for row in progress(live) if row["halted_code"] is not None)
    return {row["topic"].removeprefix(live.kafka.topic_prefix): row["halted_code"] for row in rows}


async def shown(live: Settings) -> list[dict[str, Any]]:
    """What `status` says of halts."""
    code, printed = await tailrace(live, "status", "-o", "json")
    assert code in {0, 5}  # 5 while another test's server of this stack is still starting
    return [p["halted"] for p in json.loads(printed)["projections"]["postgres"]["partitions"] if p["halted"]]


async def test_reset_to_the_beginning_applies_a_log_that_was_made_anew(live: Settings, start: Start, given: Given):
    worker = await start()
    await publish(live, [given.activity() for _ in range(4)])
    await caught_up(live)
    assert await worker.stop() == 0
    await recreate(live, "activity")
    await publish(live, [given.activity("bo")])
    worker = await start()
    await eventually(lambda: halted(live) == {"activity": "H_TRUNCATED"}, "the new log halts")

    (halt,) = await shown(live)
    assert "tailrace progress reset postgres --topic" in halt["fix"]
    assert (await tailrace(live, "progress", "lift", "postgres", "--reason", "looks fine", "--yes"))[0] == 3
    assert (await tailrace(live, "progress", "reset", "postgres", "--reason", "no"))[0] == 2
    code, printed = await tailrace(
        live, "progress", "reset", "postgres", "--reason", "made anew", "--yes", "-o", "json"
    )
    assert code == 0
    (change,) = json.loads(printed)["changed"]
    assert (change["halted"], change["next_offset_before"], change["next_offset_after"]) == ("H_TRUNCATED", 4, 0)

    await caught_up(live)
    assert worker.is_alive
    assert halted(live) == {}
    _, printed = await tailrace(live, "progress", "changes", "-o", "json")
    (noted,) = json.loads(printed)["changes"]
    assert (noted["action"], noted["reason"], noted["halted_code"]) == ("reset", "made anew", "H_TRUNCATED")


async def test_lifted_it_goes_on_in_the_log_as_it_is(live: Settings, start: Start, given: Given):
    worker = await start()
    await publish(live, [given.file("accessed") for _ in range(4)])
    await caught_up(live)
    assert await worker.stop() == 0
    await recreate(live, "files")
    await publish(live, [given.file("accessed", user_id="bo") for _ in range(6)])
    worker = await start()
    await eventually(lambda: halted(live) == {"files": "H_OTHER_LOG"}, "the other log halts")

    assert (await tailrace(live, "progress", "lift", "postgres", "--reason", "restored", "--yes"))[0] == 0
    await caught_up(live)
    assert halted(live) == {}
    assert worker.is_alive


async def test_without_a_topic_the_others_go_on_and_it_is_read_once_it_is_there(
    live: Settings, start: Start, given: Given
):
    await delete(live, "files")
    worker = await start()
    await worker.has_joined()
    await publish(live, [given.user("ana"), given.posted("m1")])
    await eventually(lambda: sum(row["next_offset"] for row in progress(live)) == 2, "the others are applied")
    (halt,) = await shown(live)
    assert (halt["code"], halt["fix"]) == ("H_NO_TOPIC", "tailrace topics apply")

    await apply_topics(live, resolve(live).kafka)
    await publish(live, [given.uploaded("f1")])
    await caught_up(live)
    assert worker.is_alive
    assert (await asyncio.to_thread(verify, live, limit=3)).differences == 0


async def delete(live: Settings, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=resolve(live).kafka)
    await admin.start()
    try:
        await admin.delete_topics([live.topic(topic) for topic in topics])
    finally:
        await admin.close()
