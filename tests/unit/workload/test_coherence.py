"""What an event refers to was there before it, in the order of publication of a run without faults."""

import json
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tailrace.producer.stamping import subject_of
from tailrace.schemas.catalogue import EVENT_TYPES, key_of
from tailrace.workload import Generated

pytestmark = pytest.mark.slow

DERIVED = {"collab.notification.raised", "collab.trend.window_closed"}
MADE_BY = {
    "user_id": "collab.user.registered",
    "workspace_id": "collab.workspace.created",
    "channel_id": "collab.channel.created",
    "message_id": "collab.message.posted",
    "file_id": "collab.file.uploaded",
    "invitation_id": "collab.invitation.created",
    "integration_id": "collab.integration.installed",
    "session_id": "collab.session.started",
    "connection_id": "collab.connection.opened",
}
SAME_AS = {
    "owner_id": "user_id", "created_by": "user_id", "invited_by": "user_id", "removed_by": "user_id",
    "installed_by": "user_id", "editor_id": "user_id", "actor_id": "user_id", "uploader_id": "user_id",
    "last_read_message_id": "message_id", "thread_id": "message_id",
}  # fmt: skip
LISTS = {"mentions": "user_id", "file_ids": "file_id", "channels": "channel_id"}


@pytest.fixture(scope="session")
def events(calm: list[Generated]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in calm]


def references(data: dict[str, Any]) -> list[tuple[str, str]]:
    single = [(SAME_AS.get(name, name), value) for name, value in data.items() if value is not None]
    listed = [(LISTS[name], value) for name in LISTS for value in data.get(name, [])]
    return [pair for pair in single + listed if pair[0] in MADE_BY]


def test_every_type_of_the_catalogue_is_made_but_the_derived_ones(demo: list[Generated]):
    assert {record.type for record in demo} - {None} == set(EVENT_TYPES) - DERIVED


def test_whatever_is_named_was_made_before(events: list[dict[str, Any]]):
    known: dict[str, set[str]] = defaultdict(set)
    dangling = []
    for event in events:
        for name, value in references(event["data"]):
            if event["type"] == MADE_BY[name] and event["subject"] == value:
                known[name].add(value)
            elif value not in known[name]:
                dangling.append((event["type"], name))

    assert dangling == []


def test_every_key_is_the_contracts(calm: list[Generated], events: list[dict[str, Any]]):
    assert all(
        record.key == key_of(event["type"], event["data"]).encode() and record.topic == EVENT_TYPES[event["type"]].topic
        for record, event in zip(calm, events, strict=True)
    )


def test_every_subject_is_the_one_the_sdk_stamps(events: list[dict[str, Any]]):
    assert all(event["subject"] == subject_of(event["type"], event["data"]) for event in events)


def test_times_and_sequences_rise_and_ids_are_unique(events: list[dict[str, Any]]):
    times = [event["time"] for event in events]
    sequences = [int(event["sequence"]) for event in events]

    assert times == sorted(times)
    assert all(before < after for before, after in pairwise(sequences))
    assert sequences[-1] < 2**63
    assert len({event["id"] for event in events}) == len(events)


def test_who_posts_or_reads_is_in_the_channel(events: list[dict[str, Any]]):
    inside: dict[str, set[str]] = defaultdict(set)
    channels_of: dict[str, set[str]] = defaultdict(set)
    retried: set[str] = set()
    outsiders = []
    for event in events:
        data, kind = event["data"], event["type"].removeprefix("collab.")
        if kind == "channel_member.joined":
            inside[data["channel_id"]].add(data["user_id"])
            channels_of[data["workspace_id"]].add(data["channel_id"])
        elif kind == "channel_member.left":
            inside[data["channel_id"]].discard(data["user_id"])
        elif kind == "workspace_member.left":
            for channel in channels_of[data["workspace_id"]]:
                inside[channel].discard(data["user_id"])
        elif kind in {"message.posted", "channel.read"} and data.get("client_msg_id") not in retried:
            retried |= {data["client_msg_id"]} if "client_msg_id" in data else set()
            if data.get("message_type") != "bot" and data["user_id"] not in inside[data["channel_id"]]:
                outsiders.append(event["id"])

    assert outsiders == []


def test_a_message_is_named_with_the_time_it_was_created_at(events: list[dict[str, Any]]):
    created = {e["data"]["message_id"]: e["data"]["created_at"] for e in events if e["type"] == "collab.message.posted"}
    about = [e["data"] for e in events if "message_created_at" in e["data"]]
    without = [e for e in events if e["type"] == "collab.reaction.added" and "message_created_at" not in e["data"]]

    assert len(about) > 1_000
    assert without
    assert all(data["message_created_at"] == created[data["message_id"]] for data in about)


def test_a_retried_post_is_the_same_text_soon_after_and_both_ids_are_used(events: list[dict[str, Any]]):
    first: dict[str, dict[str, Any]] = {}
    aliases: dict[str, str] = {}
    for event in events:
        data = event["data"]
        client_id = data.get("client_msg_id")
        if not client_id:
            continue
        if client_id not in first:
            first[client_id] = event
            continue
        original = first[client_id]["data"]
        aliases[data["message_id"]] = original["message_id"]
        waited = datetime.fromisoformat(event["time"]) - datetime.fromisoformat(first[client_id]["time"])
        assert waited < timedelta(minutes=11)
        assert all(data[name] == original[name] for name in ("channel_id", "user_id", "content"))

    later = [e["data"]["message_id"] for e in events if e["type"] in {"collab.reaction.added", "collab.message.edited"}]
    assert aliases
    assert set(aliases) & set(later)
    assert set(aliases.values()) & set(later)


def test_threads_have_replies_to_replies_and_some_threads_are_long(events: list[dict[str, Any]]):
    posts = [e["data"] for e in events if e["type"] == "collab.message.posted"]
    answers = {data["message_id"]: data["thread_id"] for data in posts if "thread_id" in data}
    sizes = sorted((list(answers.values()).count(root) for root in set(answers.values())), reverse=True)

    assert any(thread in answers for thread in answers.values())
    assert sizes[0] >= 10
    assert sizes[len(sizes) // 2] <= 3


def test_reactions_come_as_aliases_with_skin_tones_and_in_two_spellings_of_a_heart(events: list[dict[str, Any]]):
    emoji = {e["data"]["emoji"] for e in events if e["type"] == "collab.reaction.added"}

    assert {"+1", ":thumbsup:", "👍", "👍🏽", "❤", "❤️", ":Party:"} <= emoji
