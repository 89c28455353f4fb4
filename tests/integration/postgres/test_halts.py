"""A log that is not the one that was applied: its partition halts and says so, the others go on."""

import json

from contract_events import Given
from kafka_topics import delete_before, publish, recreate
from worker_process import Start, applied, caught_up, eventually, progress, tailrace

from tailrace.settings import Settings


def halted(live: Settings) -> dict[str, str]:
    """Codes by short topic."""
    rows = (row for row in progress(live) if row["halted_code"] is not None)
    return {row["topic"].removeprefix(live.kafka.topic_prefix): row["halted_code"] for row in rows}


async def test_another_log_under_the_name_halts_its_partitions_and_no_others(
    live: Settings, start: Start, given: Given
):
    worker = await start()
    applied_before = [
        *(given.posted(f"m{n}") for n in range(6)),
        *(given.file("accessed") for _ in range(4)),
        *(given.activity() for _ in range(4)),
    ]
    places = await publish(live, applied_before)
    await caught_up(live)
    assert await worker.stop() == 0

    # Conversations lose what was not applied yet; files and activity are made anew, one longer, one empty.
    _, partition, last = (await publish(live, [given.posted(f"late{n}") for n in range(5)]))[-1]
    await delete_before(live, "conversations", partition, last)
    await recreate(live, "files", "activity")
    await publish(live, [given.file("accessed", user_id="bo") for _ in range(7)])
    await publish(live, [given.user("bo")])
    worker = await start()
    expected = {"conversations": "H_RETENTION", "files": "H_OTHER_LOG", "activity": "H_TRUNCATED"}
    await eventually(lambda: halted(live) == expected, "each of the three has halted")
    await eventually(lambda: applied(live) == len(applied_before) + 1, "the directory went on")

    _, printed = await tailrace(live, "status", "-o", "json")
    (document,) = [p for name, p in json.loads(printed)["projections"].items() if name == "postgres"]
    shown = {
        p["topic"].removeprefix(live.kafka.topic_prefix): p["halted"] for p in document["partitions"] if p["halted"]
    }
    assert document["state"] == "halted"
    assert {topic: found["code"] for topic, found in shown.items()} == expected
    assert f"next offset {places[5][2] + 1} is gone" in shown["conversations"]["reason"]
    assert worker.is_alive

    # Halted is halted, whoever claims it next.
    assert await worker.stop() == 0
    worker = await start()
    await worker.has_joined()
    await publish(live, [given.user("cy"), given.posted("after")])
    await eventually(lambda: applied(live) == len(applied_before) + 2, "the directory goes on")
    assert halted(live) == expected
    assert await worker.stop() == 0


async def test_topics_made_anew_under_a_running_worker_halt_and_the_others_go_on(
    live: Settings, start: Start, given: Given
):
    worker = await start()
    await publish(live, [*(given.file("accessed") for _ in range(4)), *(given.activity() for _ in range(4))])
    await caught_up(live)
    await recreate(live, "files", "activity")
    await publish(live, [given.file("accessed", user_id="bo") for _ in range(7)])
    await publish(live, [given.user("bo"), given.posted("m1")])

    await eventually(lambda: halted(live) == {"files": "H_OTHER_LOG", "activity": "H_TRUNCATED"}, "both have halted")
    await eventually(lambda: applied(live) == 8 + 2, "the others went on, and nothing of the new logs was applied")
    _, printed = await tailrace(live, "status", "-o", "json")
    (document,) = [p for name, p in json.loads(printed)["projections"].items() if name == "postgres"]
    reasons = {p["topic"].rpartition(".")[2]: p["halted"]["reason"] for p in document["partitions"] if p["halted"]}
    assert document["state"] == "halted"
    assert "another log under this name" in reasons["files"]
    assert "beyond the log's end" in reasons["activity"]
    assert worker.is_alive
    assert await worker.stop() == 0
