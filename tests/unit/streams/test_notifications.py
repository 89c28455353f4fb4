import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from channel_life import WORKSPACE, Life, notifications_of, value_of
from contract_events import BASE, CloudEvent, Given, id_of, in_world, named

from tailrace.schemas.catalogue import key_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.streams.membership import Membership
from tailrace.streams.notifications import Notifications
from tailrace.streams.records import Output, Record
from tailrace.streams.surroundings import Surroundings

NOW_MS = int((BASE + timedelta(days=1)).timestamp() * 1000)


def record(event: CloudEvent, offset: int = 0) -> Record:
    key = key_of(event["type"], event["data"]).encode()
    prefix = event["type"].split(".")[1]
    topic = {"user": "directory", "workspace_member": "directory", "presence": "signals"}.get(prefix, "conversations")
    return Record(topic, 0, offset, NOW_MS, key, json.dumps(event).encode())


def raised(events: Iterable[CloudEvent], beside: Iterable[CloudEvent] = ()) -> list[tuple[str, str, str]]:
    """(message, recipient, kind) by their names, in the order in which they were raised."""
    around = Surroundings()
    for event in beside:
        around.take(record(in_world(event)))
    work = Notifications(around)
    outputs = [output for event in events for output in work.fold(record(in_world(event)))]
    data = [read(output).data for output in outputs]
    return [(named(it["message_id"]), named(it["user_id"]), it["kind"]) for it in data]


def read(output: Output) -> Event:
    event = decode(output.topic, output.key, output.value, None)
    assert isinstance(event, Event)
    return event


@pytest.fixture
def given() -> Given:
    return Given()


def member(given: Given, user: str, kind: str = "joined", **more: object) -> CloudEvent:
    return given.event(
        f"channel_member.{kind}",
        **({"channel_id": "c1", "workspace_id": "w1", "user_id": user, "role": "member", "muted": False}
           | {"notification_level": "all"} | more),
    )  # fmt: skip


def channel(given: Given, kind: str = "public") -> CloudEvent:
    flags = dict.fromkeys(["is_general", "allow_threads", "allow_file_upload", "allow_external_sharing"], True)
    return given.event(
        "channel.created", channel_id="c1", workspace_id="w1", name="c", channel_type=kind, created_by="ana", **flags
    )


def post(given: Given, message: str = "m1", user: str = "ana", **more: object) -> CloudEvent:
    return given.event(
        "message.posted",
        **({"message_id": message, "channel_id": "c1", "workspace_id": "w1", "user_id": user, "content": "hi"}
           | {"message_type": "text", "mentions": [], "file_ids": [], "created_at": BASE} | more),
    )  # fmt: skip


def edit(given: Given, message: str = "m1", seq: int | None = None, **more: object) -> CloudEvent:
    return given.event(
        "message.edited", seq=seq,
        **({"message_id": message, "channel_id": "c1", "workspace_id": "w1", "editor_id": "ana", "content": "ho"}
           | {"mentions": [], "edited_at": BASE} | more),
    )  # fmt: skip


def test_a_mentioned_member_hears_of_it_and_the_author_does_not(given):
    events = [member(given, "ana"), member(given, "bo"), post(given, mentions=["ana", "bo"])]

    assert raised(events) == [("m1", "bo", "mention")]


def test_somebody_who_is_no_member_hears_nothing(given):
    events = [member(given, "bo"), member(given, "bo", "left"), post(given, mentions=["bo", "cy"])]

    assert raised(events) == []


def test_everybody_in_a_direct_channel_hears_and_a_mention_makes_it_no_weaker(given):
    events = [channel(given, "group_dm"), *(member(given, user) for user in ("ana", "bo", "cy"))]

    assert raised([*events, post(given, mentions=["bo"])]) == [
        ("m1", "bo", "direct_message"),
        ("m1", "cy", "direct_message"),
    ]


def test_a_reply_is_for_the_author_of_the_thread_and_earlier_repliers(given):
    members = [member(given, user) for user in ("ana", "bo", "cy", "di")]
    posts = [post(given), post(given, "m2", "bo", thread_id="m1"), post(given, "m3", "cy", thread_id="m2")]

    assert raised([*members, *posts]) == [
        ("m2", "ana", "thread_reply"),
        ("m3", "ana", "thread_reply"),
        ("m3", "bo", "thread_reply"),
    ]


@pytest.mark.parametrize(
    "late",
    [{"message": "m2", "user": "bo", "thread_id": "m1"}, {"message": "m2", "user": "ana", "client_msg_id": "c1"}],
    ids=["a reply", "another id of the root"],
)
def test_a_thread_is_whole_once_what_was_in_the_middle_has_come(given, late):
    members = [member(given, user) for user in ("ana", "bo", "cy", "di")]
    posts = [post(given, client_msg_id="c1"), post(given, "m3", "cy", thread_id="m2"), post(given, **late)]
    last = post(given, "m4", "di", thread_id="m3")

    heard = [one for one in raised([*members, *posts, last]) if one[0] == "m4"]

    assert heard == [
        ("m4", user, "thread_reply") for user in ("ana", "bo", "cy") if user in ("ana", "cy", late["user"])
    ]


def test_who_is_mentioned_in_a_reply_hears_once_as_mentioned(given):
    members = [member(given, user) for user in ("ana", "bo")]

    assert raised([*members, post(given), post(given, "m2", "bo", thread_id="m1", mentions=["ana"])]) == [
        ("m2", "ana", "mention")
    ]


@pytest.mark.parametrize(
    ("settings", "hears"),
    [
        ({}, {"thread_reply", "mention", "direct_message"}),
        ({"notification_level": "mentions"}, {"mention", "direct_message"}),
        ({"notification_level": "none"}, set()),
        ({"muted": True}, set()),
        ({"muted": True, "muted_until": BASE + timedelta(minutes=20)}, set()),
        ({"muted": True, "muted_until": BASE + timedelta(minutes=2)}, {"thread_reply", "mention", "direct_message"}),
    ],
)
def test_levels_and_mutes_hold_as_of_the_events_time(settings, hears):
    found = set()
    for kind, more in (("public", {"thread_id": "m0"}), ("public", {"mentions": ["bo"]}), ("dm", {})):
        given = Given()
        events = [channel(given, kind), member(given, "ana"), post(given, "m0", "bo"), member(given, "bo", **settings)]
        found |= {kind for _, user, kind in raised([*events, post(given, **more)]) if user == "bo"}

    assert found == hears


def test_settings_of_later_do_not_count_for_what_happened_before(given):
    events = [member(given, "bo", time="12:10"), member(given, "bo", "updated", muted=True, time="12:30")]

    assert raised([*events, post(given, mentions=["bo"], time="12:20")]) == [("m1", "bo", "mention")]
    assert raised([*events, post(given, mentions=["bo"], time="12:40")]) == []


def test_an_edit_that_adds_a_mention_raises_it_once(given):
    members = [member(given, user) for user in ("ana", "bo", "cy")]
    first = post(given, mentions=["bo"])
    edits = [edit(given, mentions=["bo", "cy"]), edit(given), edit(given, mentions=["cy"])]

    assert raised([*members, first, *edits]) == [
        ("m1", "bo", "mention"),
        ("m1", "cy", "mention"),
    ]


def test_an_edit_raises_nothing_for_a_mention_that_was_muted_when_it_was_made(given):
    muted, heard = member(given, "bo", muted=True), member(given, "bo", "updated")
    first = post(given, mentions=["bo"])
    second = edit(given, mentions=["bo"])
    heard["time"] = first["time"]

    assert raised([muted, first, heard, second]) == []


def test_an_edit_makes_a_reply_a_mention(given):
    members = [member(given, user) for user in ("ana", "bo")]
    reply = post(given, "m2", "bo", thread_id="m1")

    assert raised([*members, post(given), reply, edit(given, "m2", mentions=["ana"])]) == [
        ("m2", "ana", "thread_reply"),
        ("m2", "ana", "mention"),
    ]


def test_a_stale_edit_raises_nothing(given):
    members = [member(given, user) for user in ("ana", "bo")]
    first, late = edit(given, seq=90), edit(given, seq=80, mentions=["bo"])

    assert raised([*members, post(given), first, late]) == []


def test_an_edit_before_its_message_waits_for_it(given):
    bo, first, second = member(given, "bo"), post(given), edit(given, mentions=["bo"])

    assert raised([bo, second, first]) == [("m1", "bo", "mention")]


def test_the_same_message_again_raises_nothing(given):
    bo, first = member(given, "bo"), post(given, mentions=["bo"], client_msg_id="x")
    alias = post(given, "m2", mentions=["bo"], client_msg_id="x")

    assert raised([bo, first, first, alias]) == [("m1", "bo", "mention")]


def test_at_channel_is_for_all_members_and_an_address_is_not(given):
    members = [member(given, user) for user in ("ana", "bo", "cy")]
    assert {user for _, user, _ in raised([*members, post(given, content="ok @channel!")])} == {"bo", "cy"}
    assert raised([*members, post(given, content="write to a@channel.example, @channels")]) == []


def test_at_here_is_for_those_whose_presence_says_so_at_that_time(given):
    def presence(user: str, status: str, time: str) -> CloudEvent:
        return given.event(
            "presence.changed", user_id=user, workspace_id="w1", status=status, device_type="web", time=time
        )

    beside = [
        presence("bo", "online", "12:28"),
        presence("cy", "online", "12:10"),
        presence("di", "online", "12:27"),
        presence("di", "away", "12:29"),
        presence("ed", "offline", "12:28"),
        presence("ed", "dnd", "12:29"),
    ]
    members = [member(given, user, time="12:01") for user in ("ana", "bo", "cy", "di", "ed")]

    assert raised([*members, post(given, content="@here?", time="12:30")], beside) == [
        ("m1", "bo", "mention"),
        ("m1", "ed", "mention"),
    ]


def test_who_was_removed_from_the_workspace_hears_nothing_from_then_on(given):
    bo = member(given, "bo", time="12:01")
    hired, removed = given.hired("bo", time="12:00"), given.removed("bo", time="12:30")
    before, after = (post(given, mid, mentions=["bo"], time=at) for mid, at in (("m1", "12:29"), ("m2", "12:31")))

    assert raised([bo, before, after], [hired, removed]) == [("m1", "bo", "mention")]


def test_who_was_invited_again_must_join_the_channel_again(given):
    events = [member(given, "bo", time="12:01"), post(given, mentions=["bo"], time="12:50")]
    beside = [given.hired("bo", time="12:00"), given.removed("bo", time="12:30"), given.hired("bo", time="12:40")]

    assert raised(events, beside) == []
    assert raised([member(given, "bo", time="12:45"), *events], beside) == [("m1", "bo", "mention")]


def test_who_was_erased_hears_nothing(given):
    events = [member(given, "bo"), post(given, mentions=["bo"], time="13:00")]

    assert raised(events, [given.erased("bo", time="12:59")]) == []


def test_ids_follow_from_message_and_recipient_and_a_repeat_is_the_same_bytes(given):
    events = [record(in_world(event)) for event in (member(given, "bo"), post(given, mentions=["bo"]))]
    works = Notifications(Surroundings()), Notifications(Surroundings())
    first, again = ([output for one in events for output in work.fold(one)] for work in works)
    data = read(first[0]).data

    assert first == again
    assert data["notification_id"] == str(uuid5(UUID(id_of("m1")), id_of("bo")))
    assert first[0].key == id_of("bo").encode()


def test_a_membership_knows_its_state_at_any_time():
    member = Membership()

    assert member.standing(datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert member.removed(datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_random_life_raises_what_a_person_would_count(seed):
    life = Life(seed, begins=BASE, step_s=5)
    events = [*life.founding(), *life.events(800)]
    work, found = Notifications(Surroundings()), {}
    for event in events:
        value = value_of(event)
        one = Record("conversations", 0, 0, NOW_MS, event["data"]["channel_id"].encode(), value)
        for output in work.fold(one):
            data = read(output).data
            found[data["message_id"], data["user_id"]] = data["kind"]
            assert data["workspace_id"] == WORKSPACE

    assert len(found) > 300
    assert found == {key: kind for key, (kind, _) in notifications_of(events).items()}
