"""What an event touches, and how a trace and a peek are asked."""

from datetime import UTC, datetime

import pytest
from contract_events import CloudEvent, Given, id_of, named
from kafka_topics import record_of

from tailrace.errors import UsageError
from tailrace.operations.peeking import Condition
from tailrace.operations.scanning import Found
from tailrace.operations.touching import Touched, touched_by
from tailrace.operations.tracing import time_of_id
from tailrace.projections.caches import Keys
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event

CHANNEL, MESSAGE, WORKSPACE, ANA = (id_of(name) for name in ("c1", "m1", "w1", "ana"))


def touched(event: CloudEvent) -> Touched:
    raw = record_of(event)
    decoded = decode(raw.topic, raw.key, raw.value, None)
    assert isinstance(decoded, Event), decoded
    decoded.topic = raw.topic
    return touched_by(decoded, Keys("p:"))


def test_a_message_touches_its_row_its_caches_its_document_and_three_buckets():
    found = touched(Given().posted("m1"))

    assert [(row.table, row.key) for row in found.rows] == [("collab.messages", {"message_id": MESSAGE})]
    assert [key.rpartition(":")[0] if "rate" in key else key for key in found.keys] == [
        f"p:recent_messages:{CHANNEL}",
        f"p:unread_counts:*:{WORKSPACE}",
        f"p:message_rate:{ANA}:{CHANNEL}",
    ]
    assert found.documents == [("messages", MESSAGE)]
    assert [bucket.table for bucket in found.buckets] == [
        "analytics.message_analytics", "analytics.daily_active_users", "analytics.user_activity",
    ]  # fmt: skip
    assert found.buckets[0].key["hour"].endswith(":00:00Z")


@pytest.mark.parametrize(
    ("event", "tables", "keys", "documents", "buckets"),
    [
        (Given().reacted(":thumbsup:"), ["message_reactions", "messages"], 1, 1, 2),
        (Given().about("pinned"), ["messages", "channel_pins"], 1, 1, 0),
        (Given().about("deleted"), ["messages"], 2, 1, 0),
        (Given().joined(), ["channel_members"], 2, 0, 0),
        (Given().user(), ["users"], 0, 1, 0),
        (Given().hired(), ["workspace_members"], 1, 1, 0),
        (Given().uploaded(), ["files"], 0, 1, 2),
        (Given().shared(), ["message_files", "messages"], 0, 2, 0),
        (Given().activity(), ["events"], 0, 1, 1),
        (Given().started(), ["sessions"], 1, 1, 1),
        (Given().channel(), ["channels"], 0, 0, 0),
    ],
)
def test_other_events_touch_what_the_contract_says(event, tables, keys, documents, buckets):
    found = touched(event)

    assert [row.table.partition(".")[2] for row in found.rows] == tables
    assert (len(found.keys), len(found.documents), len(found.buckets)) == (keys, documents, buckets)
    assert all(value for row in found.rows for value in row.key.values())


def test_a_reaction_is_looked_for_under_its_canonical_emoji():
    assert named(touched(Given().reacted(":thumbsup:")).rows[0].key)["emoji"] == "👍"


def test_an_id_says_when_it_was_made_if_it_is_of_version_7():
    assert time_of_id("0199c1d2-0010-7000-8000-000000000001") == datetime(2025, 10, 8, 3, 16, 29, 328_000, UTC)
    assert time_of_id("9b2f9a52-4c8e-4f0e-9d4c-0d7f3f3a8a11") is None
    for wrong in ("m1", "0199C1D2-0010-7000-8000-000000000001"):
        with pytest.raises(UsageError):
            time_of_id(wrong)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("data.channel_id=c1", True),
        ("data.channel_id=c2", False),
        ("data.is_general=true", True),
        ("data.count=3", True),
        ("data.note=null", True),
        ("data.missing=null", False),
        ("data.channel_id.deeper=c1", False),
        ("key=c1", True),
        ("key=c2", False),
    ],
)
def test_a_condition_compares_a_path_with_a_text(condition: str, holds: bool):  # noqa: FBT001 - the fact
    record = Found("t", 0, 0, datetime(2026, 11, 20, tzinfo=UTC), b"c1", None, ())
    document = {"data": {"channel_id": "c1", "is_general": True, "count": 3, "note": None}}

    assert Condition.parse(condition).holds(record, document) is holds


def test_what_is_no_condition_is_refused():
    for wrong in ("data.channel_id", "=c1"):
        with pytest.raises(UsageError):
            Condition.parse(wrong)
