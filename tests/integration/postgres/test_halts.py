"""A log that is not the one that was applied: its partition halts and says so, the others go on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


async def test_a_damaged_batch_halts_its_partition_behind_all_that_stands_before_it(
    live: Settings, start: Start, given: Given
):
    for name in ("m1", "m2", "hurt", "m4"):
        # A batch each, in one partition.
        (place,) = await publish(live, [given.posted(name, content=f"words of {name}")])
    segment = live.data_dir / "kafka" / "log" / f"{place[0]}-{place[1]}" / f"{0:020}.log"
    with damaged(segment, b"words of hurt"):
        worker = await start()
        await eventually(lambda: halted(live) == {"conversations": "H_DAMAGED"}, "the partition has halted")
        assert applied(live) == 2
        await publish(live, [given.user("bo")])
        await eventually(lambda: applied(live) == 3, "the directory goes on")
        _, printed = await tailrace(live, "status", "-o", "json")
        (shown,) = [p["halted"] for p in json.loads(printed)["projections"]["postgres"]["partitions"] if p["halted"]]
        assert "the batch at offset 2 is damaged" in shown["reason"]
        assert "let an undamaged replica lead" in shown["fix"]

    where = ("--topic", "conversations", "--partition", str(place[1]))
    code, _ = await tailrace(live, "progress", "lift", "postgres", *where, "--reason", "mended", "--yes")
    assert code == 0
    await eventually(lambda: applied(live) == 5, "everything is applied")
    assert halted(live) == {}
    assert await worker.stop() == 0


@contextmanager
def damaged(segment: Path, text: bytes) -> Iterator[None]:
    """Change a byte of a record where the broker keeps it; it sends segments as they are, checked or not."""
    at = segment.read_bytes().index(text)
    _write(segment, at, text[:1].upper())
    yield
    _write(segment, at, text[:1])


def _write(file: Path, at: int, what: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(what)
