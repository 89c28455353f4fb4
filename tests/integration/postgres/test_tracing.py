"""Where one event is, and what a topic holds."""

import json
from datetime import UTC, datetime, timedelta

from contract_events import CloudEvent, Given, id_of
from kafka_topics import Raw, publish
from worker_process import Start, caught_up, tailrace

from tailrace.operations.peeking import Condition, peek
from tailrace.operations.scanning import Bound
from tailrace.operations.tracing import trace
from tailrace.settings import Settings


def id_in_log(event: CloudEvent) -> str:
    return id_of(event["id"])


async def test_an_event_is_found_wherever_it_went(live: Settings, start: Start, given: Given):
    posted, parked = given.posted("m1"), given.edited("later", "m9")
    first, second = given.user("bo"), given.user("bo", "updated")
    wrong = given.activity()
    wrong["data"]["event_type"] = 5
    worker = await start()
    await publish(live, [first, posted, second, parked, wrong])
    await caught_up(live)
    assert await worker.stop() == 0
    unread = given.posted("m2")
    await publish(live, [unread])
    since = datetime.now(UTC) - timedelta(minutes=5)

    found = await trace(live, id_in_log(posted), since=since)
    assert found.record is not None
    assert found.event is not None
    states = {one.projection: one.state for one in found.applied}
    assert states == {"postgres": "applied", "redis": "not yet", "search": "not yet"}
    assert [(row.row.table, row.exists, row.held) for row in found.rows] == [("collab.messages", True, ("posted",))]
    assert all(row is not None for _, row in found.buckets)
    assert found.scanned.scanned <= found.scanned.meant == 6

    (old,) = (await trace(live, id_in_log(first), since=since)).rows
    (new,) = (await trace(live, id_in_log(second), since=since)).rows
    assert "profile" in new.held
    assert old.others["profile"] == id_in_log(second)

    waiting = await trace(live, id_in_log(parked))
    assert waiting.scanned.scanned == 1, "its row says where it stands in the log"
    assert [(one.state, one.detail) for one in waiting.applied if one.projection == "postgres"] == [
        ("parked", f"waits for {id_of('m9')}")
    ]

    letter = await trace(live, id_in_log(wrong))
    assert letter.refusal is not None
    (refused,) = [one for one in letter.applied if one.projection == "postgres"]
    assert (refused.state, refused.detail[:8]) == ("refused", "E_SCHEMA")
    assert refused.at is not None

    code, printed = await tailrace(live, "trace", id_in_log(unread), "--since", "10m", "-o", "json")
    document = json.loads(printed)
    assert (code, document["projections"]["postgres"]["state"]) == (0, "not yet")
    assert document["rows"][0]["exists"] is False
    assert posted["data"]["content"] not in printed

    code, _ = await tailrace(live, "trace", id_of("nobody"))
    assert code == 4


async def test_a_look_at_a_topic_is_bounded_and_says_so(live: Settings, given: Given):
    events = [given.activity(user) for user in ("ana", "bo", "cy") for _ in range(10)]
    await publish(live, events)
    await publish(live, [Raw("activity", b"k", b"\xff no event")])

    newest, scanned = await peek(live, "activity", count=4)
    assert len(newest) == 4
    assert scanned.is_whole
    first, scanned = await peek(live, live.topic("activity"), first=Bound(offset=0), count=31)
    assert (len(first), scanned.scanned, scanned.meant) == (31, 31, 31)

    condition = [Condition.parse(f"data.user_id={id_of('bo')}")]
    chosen, scanned = await peek(live, "activity", first=Bound(), count=3, where=condition)
    assert {record.key for record in chosen} == {id_of("bo").encode()}
    some, scanned = await peek(live, "activity", first=Bound(), count=31, where=condition, scan_max=5)
    assert (scanned.scanned, scanned.meant, scanned.is_whole) == (5, 31, False)
    assert len(some) <= 5

    code, printed = await tailrace(live, "peek", "activity", "--from", "beginning", "-n", "40", "-o", "json")
    document = json.loads(printed)
    assert (code, len(document["records"]), document["scanned"], document["of"]) == (0, 31, 31, 31)
    assert "data" not in json.dumps(document)
    assert (await tailrace(live, "peek", "nonsense"))[0] == 4
