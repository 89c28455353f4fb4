"""Messages with what hangs on them."""

from typing import Any

import pytest

from tailrace.history.slack_messages import CONTENT_CHARS_MAX

LOG = {"type": "message", "hidden": True}


def changed(message: Any, before: Any, at: Any, **fields: Any):
    """An item of an export with edit logs."""
    return {**LOG, "subtype": "message_changed", "ts": at, "message": message, "previous_message": before, **fields}


def log(export: Any, item: Any, day: str = "2020-09-14"):
    export.days.setdefault(f"general/{day}.json", []).append(item)


def test_a_message_is_posted_as_it_was(export: Any, imported: Any):
    ts = export.message(
        1.000005, "see <#C1|general>, <@U2> &amp; co", client_msg_id="a-b", blocks=[{"type": "rich_text"}]
    )

    posted = imported().one("message.posted")

    assert ts == "1600000001.000005"
    assert (
        posted.data
        | {
            "content": "see #general, @Bob B & co",
            "message_type": "text",
            "mentions": [imported().user_id("bob")],
            "client_msg_id": "a-b",
            "formatted_content": {"slack_blocks": [{"type": "rich_text"}]},
            "thread_id": None,
        }
        == posted.data
    )
    assert posted.time.isoformat() == posted.data["created_at"].isoformat() == "2020-09-13T12:26:41.000005+00:00"


def test_messages_come_in_order_of_time_whatever_the_order_in_the_file(export: Any, imported: Any):
    for offset in (5, 1, 3):
        export.message(offset, str(offset))

    assert [data["content"] for data in imported().data("message.posted")] == ["1", "3", "5"]


def test_a_reply_follows_its_root_and_names_it(export: Any, imported: Any):
    root = export.message(1, "root", thread_ts="1600000001.000000")
    export.message(90_000, "reply", thread_ts=root)
    export.message(90_001, "told all", thread_ts=root, subtype="thread_broadcast")

    posted = imported().data("message.posted")

    assert [data["content"] for data in posted] == ["root", "reply", "told all"]
    assert [data["thread_id"] for data in posted] == [None, posted[0]["message_id"], posted[0]["message_id"]]
    assert imported().report.found["replies"] == 2
    assert {data["message_type"] for data in posted} == {"text"}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"subtype": "me_message"}, "text"),
        ({"subtype": "bot_message", "bot_id": "B1", "username": "CI"}, "bot"),
        ({"bot_id": "B1"}, "bot"),
        ({"subtype": "channel_topic", "topic": "x"}, "system"),
        ({"subtype": "channel_name"}, "system"),
        ({"subtype": "group_purpose"}, "system"),
        ({"subtype": "channel_convert_to_private"}, "system"),
        ({"subtype": "huddle_thread"}, "system"),
        ({"subtype": "reminder_add"}, "system"),
        ({"subtype": "pinned_item"}, "system"),
        ({"files": [{"id": "F1"}]}, "file"),
        ({"subtype": "file_share", "file": {"id": "F1"}}, "file"),
        ({"subtype": "file_comment", "file": {"id": "F1"}, "comment": {"user": "U2", "comment": "nice"}}, "text"),
    ],
)
def test_subtypes_become_types(export: Any, imported: Any, fields: Any, kind: Any):
    export.message(0, **fields)

    assert imported().one("message.posted").data["message_type"] == kind
    assert not [kind for kind in imported().odd() if kind.startswith("subtype")]


@pytest.mark.parametrize(("fields", "kind"), [({}, "system"), ({"client_msg_id": "x"}, "text")])
def test_an_unknown_subtype_is_kept_and_counted_with_its_place(export: Any, imported: Any, fields: Any, kind: Any):
    export.message(0, subtype="holodeck_opened", **fields)

    result = imported()

    assert (
        result.one("message.posted").data
        | {
            "message_type": kind,
            "formatted_content": {"slack_subtype": "holodeck_opened"},
        }
        == result.one("message.posted").data
    )
    oddity = result.report.oddities["subtype holodeck_opened"]
    assert (oddity.count, oddity.first) == (1, "general/2020-09-13.json 1600000000.000000")


def test_a_comment_on_a_file_is_a_message_of_who_wrote_it(export: Any, imported: Any):
    export.message(
        0, "said <@U2>", user=None, subtype="file_comment", comment={"user": "U2", "comment": "&lt;nice&gt;"}
    )

    posted = imported().one("message.posted").data

    assert (posted["user_id"], posted["content"]) == (imported().user_id("bob"), "<nice>")


def test_a_bot_posts_as_its_user_or_as_itself(export: Any, imported: Any):
    export.users.append({"id": "U3", "name": "deploy", "is_bot": True, "profile": {"bot_id": "B3"}})
    export.message(0, user=None, subtype="bot_message", bot_id="B3")
    export.message(1, user=None, subtype="bot_message", bot_id="B4", username="CI")
    export.message(2, user=None, subtype="bot_message", username="cron")

    result = imported()

    assert [data["user_id"] for data in result.data("message.posted")] == [
        result.user_id(name) for name in ("deploy", "CI", "cron")
    ]
    assert result.odd() == {"bot_not_in_users": 2}
    assert result.report.found["bots"] == 1


def test_a_message_of_nobody_is_kept_and_counted(export: Any, imported: Any):
    export.message(0, user=None)

    assert imported().one("message.posted").data["content"] == "hello"
    assert imported().odd() == {"message_without_author": 1}


def test_an_edited_message_has_its_last_text_and_the_time_of_the_edit(export: Any, imported: Any):
    export.message(0, "final", edited={"user": "U2", "ts": "1600000060.000000"})

    result = imported()
    edited = result.one("message.edited")

    assert result.one("message.posted").data["content"] == edited.data["content"] == "final"
    assert edited.data["edited_at"].timestamp() == 1_600_000_060
    assert edited.data["editor_id"] == result.user_id("bob")
    assert edited.sequence > result.one("message.posted").sequence


def test_an_edit_in_the_second_of_the_message_still_comes_after_it(export: Any, imported: Any):
    export.message(0.75, "final", edited={"user": "U1", "ts": "1600000000.000000"})

    edited, posted = imported().one("message.edited"), imported().one("message.posted")

    assert edited.sequence == posted.sequence + 1
    assert edited.time == posted.time


def test_with_edit_logs_the_first_text_is_posted_and_each_next_is_an_edit(export: Any, imported: Any):
    ts = export.message(0, "three", edited={"user": "U1", "ts": "1600090000.000000"})
    one, two = {"ts": ts, "user": "U1", "text": "one"}, {"ts": ts, "user": "U1", "text": "two"}
    log(
        export,
        changed({"ts": ts, "text": "three", "edited": {"user": "U1", "ts": "1600090000.000000"}}, two, "1600090000.5"),
    )
    log(export, changed({**two, "edited": {"user": "U2", "ts": "1600080000.000000"}}, one, "1600080000.5"))

    result = imported()

    assert result.one("message.posted").data["content"] == "one"
    assert [(data["content"], data["edited_at"].timestamp()) for data in result.data("message.edited")] == [
        ("two", 1_600_080_000),
        ("three", 1_600_090_000),
    ]
    assert result.report.found["log_items"] == 2
    assert result.odd() == {}


def test_an_edit_after_the_last_one_logged_is_made_too(export: Any, imported: Any):
    ts = export.message(0, "three", edited={"user": "U1", "ts": "1600090000.000000"})
    one = {"ts": ts, "user": "U1", "text": "one"}
    log(export, changed({**one, "text": "two"}, one, "1600080000.0"))

    assert [data["content"] for data in imported().data("message.edited")] == ["two", "three"]


def test_a_message_that_only_the_log_has_is_posted_in_its_place(export: Any, imported: Any):
    export.message(0, "before")
    export.message(10, "after")
    gone = {"ts": "1600000005.000000", "user": "U2", "text": "lost"}
    log(export, changed({**gone, "text": "found"}, gone, "1600080000.0"))

    result = imported()

    assert [data["content"] for data in result.data("message.posted")] == ["before", "lost", "after"]
    assert result.one("message.edited").data["content"] == "found"


def test_a_deleted_message_of_the_log_is_posted_and_deleted(export: Any, imported: Any):
    export.message(10, "after")
    original = {"ts": "1600000005.000000", "user": "U2", "text": "lost", "thread_ts": "1600000001.000000"}
    log(
        export,
        {**LOG, "subtype": "message_deleted", "ts": "1600080000.0", "deleted_ts": original["ts"], "original": original},
    )

    result = imported()

    assert [data["content"] for data in result.data("message.posted")] == ["lost", "after"]
    assert result.data("message.posted")[0]["thread_id"] is not None
    deleted = result.one("message.deleted")
    assert deleted.data["message_id"] == result.data("message.posted")[0]["message_id"]
    assert deleted.data["actor_id"] == result.user_id("bob")
    assert deleted.time.timestamp() == 1_600_080_000


def test_a_message_only_known_to_be_deleted_is_there_without_text(export: Any, imported: Any):
    log(export, {**LOG, "subtype": "message_deleted", "ts": "1600080000.0", "deleted_ts": "1600000005.000000"})

    result = imported()

    assert (result.one("message.posted").data["content"], result.one("message.posted").data["message_type"]) == (
        "",
        "system",
    )
    assert result.one("message.deleted").time.timestamp() == 1_600_080_000


def test_a_log_item_about_nothing_is_counted(export: Any, imported: Any):
    log(export, {**LOG, "subtype": "message_changed", "ts": "1600080000.0"})
    log(export, {**LOG, "subtype": "message_replied", "ts": "1600080000.0"})

    assert imported().odd() == {"log_item_of_no_message": 1}
    assert imported().of("message.posted") == []


def test_a_tombstone_keeps_its_thread_and_says_nothing(export: Any, imported: Any):
    root = export.message(0, "This message was deleted.", user="USLACKBOT", subtype="tombstone", hidden=True)
    export.message(5, "reply", thread_ts=root)

    result = imported()
    tombstone, reply = result.data("message.posted")

    assert (tombstone["content"], tombstone["message_type"], tombstone["formatted_content"]) == ("", "system", None)
    assert reply["thread_id"] == tombstone["message_id"] == result.one("message.deleted").data["message_id"]
    assert result.one("message.deleted").time == result.of("message.posted")[0].time


def test_a_tombstone_of_which_the_log_knows_the_message_gets_its_text_and_author_back(export: Any, imported: Any):
    ts = export.message(0, "This message was deleted.", user="USLACKBOT", subtype="tombstone")
    before = {"ts": ts, "user": "U2", "text": "said"}
    log(export, changed({"ts": ts, "subtype": "tombstone", "user": "USLACKBOT"}, before, "1600080000.0"))

    result = imported()

    assert (
        result.one("message.posted").data
        | {
            "content": "said",
            "message_type": "text",
            "user_id": result.user_id("bob"),
        }
        == result.one("message.posted").data
    )
    assert result.one("message.deleted").time.timestamp() == 1_600_080_000


def test_reactions_keep_their_order_right_after_the_message(export: Any, imported: Any):
    reactions = [
        {"name": "+1", "users": ["U2", "U1", "U2"], "count": 2},
        {"name": "wave::skin-tone-3", "users": ["U1"], "count": 1},
    ]
    export.message(0, reactions=reactions)

    result = imported()
    events = result.of("reaction.added")

    assert [event.data["emoji"] for event in events] == [":+1:", ":+1:", ":wave::skin-tone-3:"]
    assert [event.data["user_id"] for event in events] == [result.user_id(name) for name in ("bob", "ada", "ada")]
    first = result.one("message.posted")
    assert [event.sequence - first.sequence for event in events] == [1, 2, 3]
    assert {event.time for event in events} == {first.time}


def test_reactions_of_people_the_export_leaves_out_are_counted(export: Any, imported: Any):
    export.message(0, reactions=[{"name": "+1", "users": ["U1"], "count": 5}, {"users": ["U1"]}])

    assert imported().odd() == {"reaction_without_user": 4, "reaction_without_name": 1}


def test_a_pin_of_the_list_is_set_when_the_list_says(export: Any, imported: Any):
    ts = export.message(0)
    export.channel["pins"] = [{"id": ts, "type": "C", "created": 1_600_000_500, "user": "U2", "owner": "U1"}]

    pinned = imported().one("message.pinned")

    assert pinned.time.timestamp() == 1_600_000_500
    assert pinned.data["user_id"] == imported().user_id("bob")


def test_a_pin_without_a_time_is_as_old_as_the_message(export: Any, imported: Any):
    export.message(0, pinned_to=["C1"])
    export.message(1, pinned_to=["C2"])

    result = imported()

    assert result.one("message.pinned").time == result.of("message.posted")[0].time
    assert result.odd() == {"pin_without_time": 1}


def test_a_pin_of_a_message_that_is_not_there_is_counted_and_not_made(export: Any, imported: Any):
    export.channel["pins"] = [{"id": "1500000001.000000", "type": "C"}, {"id": "F1", "type": "F"}]

    assert imported().of("message.pinned") == []
    assert imported().odd() == {"pin_of_message_not_in_export": 1, "pin_of_no_message": 1}


def test_what_is_no_message_is_counted(export: Any, imported: Any):
    export.days["general/2020-09-13.json"] = [
        "text",
        {"type": "file", "ts": "1600000000.0"},
        {"type": "message", "text": "no time"},
        {"type": "message", "text": "1970", "ts": "0000000000.000000"},
    ]

    assert imported().odd() == {"item str": 1, "item file": 1, "message_without_time": 2}


def test_the_same_message_twice_in_a_day_is_posted_once(export: Any, imported: Any):
    export.message(0, "hello")
    export.message(0, "hello again")

    assert imported().one("message.posted").data["content"] == "hello"
    assert imported().odd() == {"message_twice": 1}


def test_two_messages_with_the_clients_id_are_both_kept(export: Any, imported: Any):
    export.message(0, "one", client_msg_id="x")
    export.message(1, "two", client_msg_id="x")
    export.message(2, "three", client_msg_id="x", user="U2")

    assert [data["client_msg_id"] for data in imported().data("message.posted")] == ["x", None, "x"]
    assert imported().odd() == {"client_msg_id_twice": 1}


def test_what_would_not_fit_into_an_event_is_left_out_and_counted(export: Any, imported: Any):
    deep = {}
    for _ in range(300):
        deep = {"elements": [deep]}
    export.message(0, "x" * (CONTENT_CHARS_MAX + 1), blocks=[{"type": "rich_text", "text": "y" * 300_000}])
    export.message(1, "deep", blocks=[deep])

    posted = imported().data("message.posted")

    assert [len(data["content"]) for data in posted] == [CONTENT_CHARS_MAX, 4]
    assert [data["formatted_content"] for data in posted] == [None, None]
    assert imported().odd() == {"text_cut": 1, "blocks_too_large": 2}
