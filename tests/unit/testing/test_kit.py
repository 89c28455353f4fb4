"""The test kit for producers and hosts, used as they would use it."""

import asyncio
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tailrace.contract.event_schemas import sample
from tailrace.producer import Ack, DeliveryUnknown, Failed, NotDelivered, ProducerClosed, Refused, SyncProducer
from tailrace.producer.connection import key_hash
from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.testing import RecordingProducer, given

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANA, BEN, CHANNEL, WORKSPACE, MESSAGE = (str(UUID(int=number)) for number in range(1, 6))
POSTED: dict[str, Any] = {
    "type": "collab.message.posted",
    "time": NOON,
    "data": {
        "message_id": MESSAGE, "channel_id": CHANNEL, "workspace_id": WORKSPACE, "user_id": ANA, "content": "hello",
        "message_type": "text", "mentions": [BEN], "file_ids": [], "created_at": NOON,
    },
}  # fmt: skip
PLACE = {"channel_id": CHANNEL, "workspace_id": WORKSPACE}


def joined(user_id: str) -> dict[str, Any]:
    data = {**PLACE, "user_id": user_id, "role": "member", "notification_level": "all", "muted": False}
    return {"type": "collab.channel_member.joined", "time": NOON - timedelta(hours=1), "data": data}


def reaction(kind: str, emoji: str, **attributes: Any) -> dict[str, Any]:
    data = {**PLACE, "message_id": MESSAGE, "user_id": BEN, "emoji": emoji}
    return {"type": f"collab.reaction.{kind}", "data": data, **attributes}


# ── events in, rows, keys and documents out ──
def test_events_lead_to_rows_keys_documents_and_notifications():
    state = given([joined(ANA), joined(BEN), POSTED, reaction("added", "+1")], now=NOON + timedelta(seconds=5))

    row = state.row("collab.messages", message_id=MESSAGE)
    assert (row["content"], row["reactions"]) == ("hello", {"👍": [BEN]})
    assert state.row("analytics.daily_active_users")["message_count"] == 1
    assert state.keys()[f"unread_counts:{BEN}:{WORKSPACE}"].value == {CHANNEL: 1}
    assert [it["content"] for it in state.keys()[f"recent_messages:{CHANNEL}"].value] == ["hello"]
    assert state.documents("messages")[MESSAGE]["reaction_count"] == 1
    assert state.row("notifications")["user_id"] == BEN
    assert {row["messages"] for row in state.rows("trends", window_seconds=60)} == {1}


def test_the_order_of_events_and_their_repetition_do_not_matter():
    whole = [sample(name) for name in EVENT_TYPES]
    now = datetime(2026, 11, 21, tzinfo=UTC)

    assert given(whole, now=now).documents("messages") == given([*reversed(whole), *whole], now=now).documents(
        "messages"
    )


def test_an_event_that_does_not_fit_is_refused_by_its_place_and_the_others_count():
    wrong = POSTED | {"data": POSTED["data"] | {"content": 5}}

    state = given([wrong, POSTED], now=NOON)

    assert {place: (error.code, error.path) for place, error in state.refused.items()} == {
        0: ("E_SCHEMA", "data.content")
    }
    assert len(state.rows("messages")) == 1


def test_a_reaction_before_its_message_waits_and_shows_nowhere():
    state = given([reaction("added", "🎉")], now=NOON)

    assert state.rows("message_reactions") == []
    assert len(state.events) == 1


def test_keys_of_a_living_thing_end_with_their_time():
    typing = {"type": "collab.typing.started", "time": NOON, "data": {"channel_id": CHANNEL, "user_id": ANA}}

    key = f"typing:{CHANNEL}:{ANA}"
    assert given([typing], now=NOON + timedelta(seconds=9)).keys()[key].expires_at == NOON + timedelta(seconds=10)
    later = given([typing], now=NOON + timedelta(seconds=11)).keys()
    assert key not in later


def test_which_row_must_be_said_clearly():
    state = given([POSTED], now=NOON)

    with pytest.raises(LookupError, match="0 rows"):
        state.row("messages", message_id=ANA)
    with pytest.raises(KeyError):
        state.rows("telegrams")


# ── the producer's double ──
async def test_what_is_published_is_kept_with_its_key_partition_and_order():
    async with RecordingProducer(source="/billing", now=NOON) as producer:
        acks = [await producer.publish(POSTED), await producer.publish(reaction("added", "🎉"))]

    assert [event["type"] for event in producer.events] == ["collab.message.posted", "collab.reaction.added"]
    assert {record.key for record in producer.records} == {CHANNEL.encode()}
    assert [(ack.partition, ack.offset) for ack in acks] == [
        (key_hash(CHANNEL.encode()) % 12, 0),
        (acks[0].partition, 1),
    ]
    assert int(producer.events[0]["sequence"]) < int(producer.events[1]["sequence"])
    assert given(producer.events, now=NOON).row("messages")["reactions"] == {"🎉": [BEN]}


async def test_two_runs_give_the_same_ids_and_another_seed_gives_others():
    def ids(seed: int) -> list[str]:
        producer = RecordingProducer(now=NOON, seed=seed)
        return [producer.validate(POSTED).event_id for _ in range(3)]

    assert ids(1) == ids(1)
    assert not set(ids(1)) & set(ids(2))


async def test_what_does_not_fit_is_refused_as_by_the_real_one():
    async with RecordingProducer(now=NOON) as producer:
        results = await producer.publish_many([POSTED, {"type": "collab.message.posted", "data": {}}])

    assert [type(result) for result in results] == [Ack, Refused]
    assert len(producer.records) == 1


@pytest.mark.parametrize("appended", [False, True])
async def test_a_failure_can_be_asked_for_and_a_retry_under_the_same_id_is_one_message(appended: bool):  # noqa: FBT001 - a case
    async with RecordingProducer(now=NOON) as producer:
        producer.fail_next(DeliveryUnknown, appended=appended)
        event = POSTED | {"id": str(UUID(int=77))}
        with pytest.raises(DeliveryUnknown):
            await producer.publish(event)
        await producer.publish(event)

    assert len(producer.records) == 1 + appended
    assert len(given(producer.events, now=NOON).rows("messages")) == 1


async def test_failures_are_results_where_many_are_published():
    async with RecordingProducer(now=NOON) as producer:
        producer.fail_next(NotDelivered, times=2)
        results = await producer.publish_many([POSTED, POSTED, POSTED])

    assert [type(result) for result in results] == [Failed, Failed, Ack]


async def test_outside_its_context_it_is_closed():
    with pytest.raises(ProducerClosed):
        await RecordingProducer(now=NOON).publish(POSTED)


async def test_it_stands_in_for_the_producer_without_a_loop_too():
    producer = RecordingProducer(now=NOON)

    def use() -> Ack:
        with SyncProducer(producer) as blocking:
            return blocking.publish(POSTED)

    assert (await asyncio.to_thread(use)).offset == 0


async def test_publishing_an_old_version_warns_in_tests_where_it_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        async with RecordingProducer(now=NOON) as producer:
            with pytest.raises(DeprecationWarning, match="version 1 is old, publish version 3"):
                await producer.publish(sample("collab.integration.updated", 1))
