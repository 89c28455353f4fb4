"""What the streams must raise and count: the fold against recounts of whole lives, and where two answers are right."""

import json
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from channel_life import Life, notifications_of, value_of, windows_of
from msgspec.structs import replace

from tailrace.operations.streams import SOURCES
from tailrace.schemas.catalogue import key_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.streams.registry import NAMES, stream_of
from tailrace.verification.compare import compare_rows
from tailrace.verification.compare_streams import SPECS, Windows, compare_trends
from tailrace.verification.fold import fold
from tailrace.verification.fold_log import FreeRow, OneOf
from tailrace.verification.fold_notifications import notifications
from tailrace.verification.fold_trends import trends
from tailrace.verification.reading import Reading
from tailrace.verification.tables import NOTIFICATIONS

BEGINS = datetime.fromisoformat("2026-11-20T12:00:00Z")
ANA, BO, MESSAGE, REPLY, CHANNEL, WORKSPACE = (f"0199c1d2-0000-7000-8000-00000000000{n}" for n in range(6))
PLACE = {"channel_id": CHANNEL, "workspace_id": WORKSPACE, "mentions": []}


def logged(events: Iterable[dict], topic: str = "conversations") -> list[Event]:
    """The events as they are read from a topic of one partition, appended a day later."""
    found = []
    for offset, event in enumerate(events):
        appended = BEGINS + timedelta(days=1, seconds=offset)
        key = key_of(event["type"], event["data"]).encode()
        decoded = decode(topic, key, value_of(event), appended)
        assert isinstance(decoded, Event), decoded
        found.append(replace(decoded, topic=topic, partition=0, offset=offset, appended_at=appended))
    return found


def life_of(seed: int, count: int = 700) -> list[dict]:
    life = Life(seed, begins=BEGINS, step_s=3)
    return [*life.founding(), *life.events(count)]


# ── notifications ──
@pytest.mark.parametrize("seed", range(4))
def test_a_whole_life_is_told_as_a_person_would_tell_it(seed: int):
    log = logged(life_of(seed))
    found = notifications(log, fold(log))

    assert len(found) > 100
    assert {
        (row["message_id"], row["user_id"]): (row["kind"], row["withdrawn_at"] is not None) for row in found.values()
    } == notifications_of(life_of(seed))
    assert not any(isinstance(row, FreeRow) for row in found.values())


class Told:
    """A channel with Ana and Bo; events follow each other by a minute, and their records in the order of the log."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.log = [self._member(user) for user in (ANA, BO)]

    def _member(self, user: str, name: str = "channel_member.joined", **more: Any) -> Event:
        data = {"channel_id": CHANNEL, "workspace_id": WORKSPACE, "user_id": user, "role": "member", "muted": False}
        return self.given.event(name, **(data | {"notification_level": "all", "muted_until": None} | more))

    def say(self, content: str = "hi", mentions: Iterable[str] = (BO,), **more: Any) -> "Told":
        self.log.append(
            self.given.posted(
                MESSAGE, channel_id=CHANNEL, workspace_id=WORKSPACE, user_id=ANA, content=content,
                mentions=list(mentions), **more,
            )
        )  # fmt: skip
        return self

    def edit(self, mentions: Iterable[str], message: str = MESSAGE, content: str = "ho") -> "Told":
        data = {"message_id": message, "channel_id": CHANNEL, "workspace_id": WORKSPACE, "content": content}
        data |= {"editor_id": ANA, "mentions": list(mentions), "edited_at": BEGINS, "formatted_content": None}
        self.log.append(self.given.event("message.edited", **data))
        return self

    def member(self, user: str, name: str, **more: Any) -> "Told":
        self.log.append(self._member(user, name, **more))
        return self

    def then(self, event: Event) -> "Told":
        self.log.append(event)
        return self

    def rows(self) -> list[dict]:
        topics = {"workspace_member": "directory", "user": "directory", "presence": "signals"}
        log = [
            replace(event, topic=topics.get(event.type.split(".")[1], "conversations"), partition=0, offset=offset)
            for offset, event in enumerate(self.log)
        ]
        return list(notifications(log, fold(log)).values())


@pytest.fixture
def told(given: Any) -> Told:
    return Told(given)


def test_what_was_appended_before_the_message_decides(told: Told):
    assert told.then(told.given.removed(BO, WORKSPACE)).say().rows() == []


def test_a_removal_that_was_appended_after_the_message_leaves_it_open(told: Told):
    removed = told.given.removed(BO, WORKSPACE)
    told.say().then(replace(removed, appended_at=removed.appended_at + timedelta(hours=1)))
    (row,) = told.rows()

    assert isinstance(row, FreeRow)
    assert row["kind"] == "mention"


def test_who_is_erased_later_by_event_time_was_told(told: Told):
    (row,) = told.say().then(told.given.erased(BO)).rows()

    assert not isinstance(row, FreeRow)


def test_whether_a_presence_was_known_in_time_for_here_is_open(told: Told):
    presence = {"workspace_id": WORKSPACE, "user_id": BO, "status": "online", "custom_status": None}
    told.then(told.given.event("presence.changed", **presence)).say("look, @here!", mentions=())
    (row,) = told.rows()

    assert isinstance(row, FreeRow)


@pytest.mark.parametrize("content", ["@everyone", "mail me@channel.example", "@@channel", "@channels"])
def test_what_is_no_group_tells_nobody(told: Told, content: str):
    assert told.say(content, mentions=()).rows() == []


def test_a_later_edit_tells_whom_it_adds_by_the_editor_and_the_edits_time(told: Told):
    (row,) = told.say(mentions=()).edit([BO]).edit([]).edit([BO]).rows()

    assert (row["kind"], row["created_at"]) == ("mention", told.log[3].time)


def test_a_mute_that_is_known_later_is_too_late_even_if_it_is_older(told: Told):
    told.say().member(BO, "channel_member.updated", muted=True, time="12:00")

    assert len(told.rows()) == 1


def test_of_an_open_edit_either_version_may_be_found(told: Told):
    told.say(mentions=()).then(told.given.posted(REPLY, thread_id=MESSAGE, user_id=BO, **PLACE))
    presence = {"workspace_id": WORKSPACE, "user_id": ANA, "status": "online", "custom_status": None}
    told.then(told.given.event("presence.changed", **presence))
    (row,) = told.edit((), REPLY, "@here").rows()

    assert not isinstance(row, FreeRow)
    assert {*row["kind"].values} == {"thread_reply", "mention"}
    assert isinstance(row["created_at"], OneOf)


def test_a_missing_a_doubled_and_a_wrong_row_are_three_differences():
    log = logged(life_of(1, 100))
    expected = notifications(log, fold(log))
    spec = SPECS[NOTIFICATIONS]
    rows = [[*key, *(row[name] or None for name in spec.columns)] for key, row in expected.items()]
    assert compare_rows(spec, expected, rows, limit=10).count == 0

    wrong = [*rows[1][:3], "rumour", *rows[1][4:]]
    assert compare_rows(spec, expected, [wrong, rows[2], *rows[2:]], limit=10).count == 3


# ── trends ──
@pytest.mark.parametrize("seed", range(3))
def test_every_window_is_as_a_person_would_count_it(seed: int):
    dice = random.Random(seed)
    events = life_of(seed)
    for event in events:
        if dice.random() < 0.2:
            time = datetime.fromisoformat(event["time"]) - timedelta(seconds=dice.uniform(0, 1_000))
            event["time"] = time.isoformat()
    log = logged(events)
    found = {
        (channel, seconds, int(start.timestamp())): (row["messages"], row["reactions"], row["active_users"])
        for (channel, seconds, start), row in trends(log).items()
    }

    assert found == windows_of([(e.appended_at.timestamp(), one) for e, one in zip(log, events, strict=True)])


def test_a_retry_counts_once_in_a_window_that_holds_both():
    life = Life(0, begins=BEGINS, step_s=1, channels=1)
    first, again = life.posted(life.channels[0]), life.posted(life.channels[0])
    for event in (first, again):
        event["data"] |= {"client_msg_id": "c1", "user_id": ANA, "message_type": "text"}

    assert {row["messages"] for row in trends(logged([first, again])).values()} == {1}


def test_one_reaction_under_two_names_counts_once():
    life = Life(0, begins=BEGINS, step_s=1, channels=1)
    data = {"message_id": MESSAGE, "user_id": ANA}
    log = [life.event("reaction.added", life.channels[0], emoji=emoji, **data) for emoji in ("👍", "thumbsup")]

    assert {row["reactions"] for row in trends(logged(log)).values()} == {1}


def windows(*records: tuple[int, int]) -> Windows:
    """Records of one window: sequence and messages."""
    found = Windows()
    for sequence, messages in records:
        data = {"channel_id": CHANNEL, "window_seconds": 60, "window_start": "2026-11-20T12:00:00Z"}
        data |= {"workspace_id": WORKSPACE, "messages": messages, "reactions": 0, "active_users": 1, "hot_score": 1.0}
        found.take(SimpleNamespace(value=json.dumps({"sequence": str(sequence), "data": data})))
    return found


def recounted(found: Windows, messages: int) -> int:
    """How many differences there are where so many messages were posted in that minute, and one long after."""
    life = Life(0, begins=BEGINS, step_s=0.001, channels=1)
    life.channels = [CHANNEL]
    life.messages[CHANNEL] = []
    events = [life.posted(CHANNEL) for _ in range(messages)]
    for event in events:
        event["data"] |= {"user_id": ANA, "message_type": "text", "workspace_id": WORKSPACE}
    reading = Reading(events=logged(events))
    return compare_trends(reading, found, limit=10).count


def test_the_highest_sequence_holds_and_a_repeat_changes_nothing():
    assert recounted(windows((1, 7), (2, 1), (2, 1), (1, 7)), 1) == 0


def test_two_records_of_one_sequence_that_differ_are_a_difference():
    assert recounted(windows((2, 1), (2, 5)), 1) == 1


def test_a_wrong_count_and_a_window_of_nothing_are_differences():
    assert recounted(windows((1, 3)), 2) == 1
    assert recounted(windows((1, 3)), 0) == 1


def test_a_window_that_the_log_has_passed_must_be_there_and_one_that_it_has_not_may(given: Any):
    life = Life(0, begins=BEGINS, step_s=0.001, channels=1)
    early = life.posted(life.channels[0])
    life.time += timedelta(minutes=30)
    late = life.posted(life.channels[0])
    for event in (early, late):
        event["data"]["message_type"] = "text"
    expected = trends(logged([early, late]))
    free = {(seconds, start) for (_, seconds, start), row in expected.items() if isinstance(row, FreeRow)}

    assert (60, BEGINS) not in free
    assert (60, BEGINS + timedelta(minutes=30)) in free
    assert (3_600, BEGINS) in free


def test_the_streams_that_are_waited_for_are_those_there_are():
    settings = SimpleNamespace(topic=str)

    assert list(SOURCES) == list(NAMES)
    assert {name: stream_of(name, settings).source for name in NAMES} == dict(SOURCES)
