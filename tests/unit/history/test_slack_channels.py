"""Conversations, who is in them, and whether they are archived."""

from typing import Any

import pytest


def membership(result: Any, username: Any):
    """What the register of a membership ends with: the event of the highest sequence."""
    user_id = result.user_id(username)
    events = [event for event in result.events if event.type.startswith("collab.channel_member.")]
    last = max((event for event in events if event.data["user_id"] == user_id), key=lambda event: event.sequence)
    return last.type.rpartition(".")[2], last.time.timestamp()


@pytest.mark.parametrize(
    ("name", "raw", "kind"),
    [
        ("channels.json", {}, "public"),
        ("channels.json", {"is_private": True}, "private"),
        ("channels.json", {"is_im": True}, "dm"),
        ("channels.json", {"is_mpim": True, "is_private": True}, "group_dm"),
        ("groups.json", {}, "private"),
        ("dms.json", {}, "dm"),
        ("mpims.json", {}, "group_dm"),
    ],
)
def test_the_list_and_its_flags_say_what_a_conversation_is(export: Any, imported: Any, name: Any, raw: Any, kind: Any):
    export.lists = {name: [{"id": "X1", "name": "x", "created": 1_500_000_000, "members": ["U1"]} | raw]}

    assert imported().one("channel.created").data["channel_type"] == kind


def test_a_profile_is_taken_over(export: Any, imported: Any):
    export.channel.update({"topic": {"value": "Tea"}, "purpose": {"value": "Talk"}, "is_ext_shared": True})

    result = imported()

    assert (
        result.one("channel.created").data
        | {
            "name": "general",
            "topic": "Tea",
            "purpose": "Talk",
            "is_general": True,
            "allow_external_sharing": True,
            "created_by": result.user_id("ada"),
        }
        == result.one("channel.created").data
    )
    assert result.one("channel.created").time.timestamp() == 1_500_000_000


@pytest.mark.parametrize(
    "raw", [{"updated": 1_550_000_000_000}, {"topic": {"value": "Tea", "last_set": 1_550_000_000}}]
)
def test_a_later_change_is_an_update_at_its_time(export: Any, imported: Any, raw: Any):
    export.channel.update(raw)

    result = imported()

    assert result.one("channel.updated").time.timestamp() == 1_550_000_000
    assert result.one("channel.updated").data == result.one("channel.created").data


def test_a_direct_message_is_named_after_its_people(export: Any, imported: Any):
    export.lists["dms.json"] = [{"id": "D1", "created": 1_500_000_000, "members": ["U2", "U1"]}]
    export.message(0, folder="D1")

    result = imported()
    created = result.of("channel.created")[1]

    assert created.data | {"name": "dm-ada-bob", "display_name": "Ada, Bob B"} == created.data
    assert result.one("message.posted").data["channel_id"] == created.data["channel_id"]


def test_a_note_to_oneself_has_one_member(export: Any, imported: Any):
    export.lists = {"dms.json": [{"id": "D1", "created": 1_500_000_000, "members": ["U1", "U1"]}]}

    assert len(imported().of("channel_member.joined")) == 1


def test_listed_members_who_never_joined_are_in_from_the_beginning(export: Any, imported: Any):
    assert membership(imported(), "bob") == ("joined", 1_500_000_000)


def test_a_listed_member_who_joined_is_in_since_then_only(export: Any, imported: Any):
    export.message(5, "<@U2> has joined the channel", user="U2", subtype="channel_join", inviter="U1")

    result = imported()
    joined = [event for event in result.of("channel_member.joined") if event.data["user_id"] == result.user_id("bob")]

    assert [event.time.timestamp() for event in joined] == [1_600_000_005]
    assert joined[0].data["invited_by"] == result.user_id("ada")
    assert result.one("message.posted").data["message_type"] == "system"
    assert result.one("message.posted").data["mentions"] == []


def test_somebody_who_left_was_in_from_the_beginning(export: Any, imported: Any):
    export.channel["members"] = ["U1"]
    export.message(5, user="U2", subtype="channel_leave")

    assert membership(imported(), "bob") == ("left", 1_600_000_005)
    assert len(imported().of("channel_member.joined")) == 2


def test_leaving_and_joining_again_ends_inside(export: Any, imported: Any):
    export.message(5, user="U2", subtype="group_leave")
    export.message(9, user="U2", subtype="group_join")

    assert membership(imported(), "bob") == ("joined", 1_600_000_009)


def test_the_list_has_the_last_word_on_who_is_in(export: Any, imported: Any):
    export.channel["members"] = ["U2"]
    export.message(1, user="U1", subtype="channel_join")
    export.message(2, user="U2", subtype="channel_leave")
    export.message(3)

    assert membership(imported(), "ada") == ("left", 1_600_000_003)
    assert membership(imported(), "bob") == ("joined", 1_600_000_002)


def test_without_a_list_of_members_the_messages_have_it(export: Any, imported: Any):
    export.channel["members"] = None
    export.message(1, user="U1", subtype="channel_join")

    assert membership(imported(), "ada") == ("joined", 1_600_000_001)
    assert len(imported().of("channel_member.joined")) == 1


def test_archiving_happens_when_the_message_says_so(export: Any, imported: Any):
    export.channel["is_archived"] = True
    export.message(1, subtype="channel_archive")
    export.message(2)

    assert imported().one("channel.archived").time.timestamp() == 1_600_000_001


def test_the_list_has_the_last_word_on_archiving(export: Any, imported: Any):
    export.channel["is_archived"] = True
    export.message(7)
    assert imported().one("channel.archived").time.timestamp() == 1_600_000_007

    export.channel["is_archived"] = False
    export.message(8, subtype="group_archive")
    result = imported()
    assert result.one("channel.unarchived").sequence > result.one("channel.archived").sequence


def test_a_channel_of_unknown_age_is_as_old_as_the_workspace(export: Any, imported: Any):
    export.lists["channels.json"].append({"id": "C2", "name": "odd"})

    created = imported().of("channel.created")[1]

    assert created.time.timestamp() == 1_500_000_000
    assert created.data["created_by"] == imported().user_id("ada")
