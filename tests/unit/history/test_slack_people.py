"""The workspace and its people."""

from typing import Any

import pytest

from tailrace.errors import InvalidInputError
from tailrace.history.slack import SlackOptions


def test_the_workspace_is_named_after_the_team_unless_a_name_is_given(export: Any, run: Any):
    assert run(export).one("workspace.created").data["name"] == "T0ACME"

    named = run(export, SlackOptions(workspace="Acme Inc"))

    assert named.one("workspace.created").data | {"name": "Acme Inc", "slug": "acme-inc"} == (
        named.one("workspace.created").data
    )
    assert named.one("workspace.created").data["workspace_id"] == run(export).one("workspace.created").workspaceid


def test_the_workspace_began_when_the_oldest_thing_in_it_did(export: Any, imported: Any):
    export.lists["dms.json"] = [{"id": "D1", "created": 1_400_000_000, "members": ["U1", "U2"]}]

    result = imported()

    assert {event.time.isoformat() for event in result.of("user.registered")} == {"2014-05-13T16:53:20+00:00"}
    assert result.one("workspace.created").data["owner_id"] == result.user_id("ada")


def test_the_team_is_that_of_most_users_not_of_the_first(export: Any, run: Any):
    guest = {"id": "U3", "team_id": "T0OTHER", "name": "eve", "profile": {"email": "eve@other.test"}}
    export.users.insert(0, guest)

    result = run(export)

    assert result.report.workspace["team_id"] == "T0ACME"
    roles = {data["user_id"]: data["role"] for data in result.data("workspace_member.joined")}
    assert roles[result.user_id("eve")] == "guest"


def test_an_export_that_names_no_team_needs_a_name(export: Any, run: Any):
    for user in export.users:
        del user["team_id"]

    with pytest.raises(InvalidInputError) as caught:
        run(export)
    assert "--workspace" in str(caught.value.fix)

    assert run(export, SlackOptions(workspace="Acme")).report.workspace["team_id"] == "Acme"
    assert run(export, SlackOptions(workspace="Acme", team_id="T9")).report.workspace["team_id"] == "T9"


def test_a_profile_is_taken_over(export: Any, imported: Any):
    export.users[0]["profile"] |= {"phone": "123", "pronouns": "she/her", "image_72": "https://a.test/72.png"}
    export.users[0]["locale"] = "en-GB"

    assert (
        imported().data("user.registered")[0]
        | {
            "email": "ada@acme.test",
            "username": "ada",
            "display_name": "Ada",
            "timezone": "Europe/London",
            "title": "Analyst",
            "phone": "123",
            "pronouns": "she/her",
            "avatar_url": "https://a.test/72.png",
            "language": "en-GB",
        }
        == imported().data("user.registered")[0]
    )


def test_what_a_profile_lacks_is_assumed_and_counted(export: Any, imported: Any):
    export.users[1] = {"id": "U2"}

    result = imported()

    assert (
        result.data("user.registered")[1]
        | {
            "email": "u2@slack.invalid",
            "username": "u2",
            "display_name": "U2",
            "timezone": "UTC",
            "language": "en",
        }
        == result.data("user.registered")[1]
    )
    assert result.odd() == {"user_without_email": 1}


@pytest.mark.parametrize(
    ("flags", "role"),
    [
        ({"is_primary_owner": True}, "owner"),
        ({"is_owner": True, "is_admin": True}, "owner"),
        ({"is_admin": True}, "admin"),
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True}, "guest"),
        ({"is_stranger": True}, "guest"),
        ({"is_bot": True}, "member"),
        ({}, "member"),
    ],
)
def test_roles_follow_slacks_flags(export: Any, imported: Any, flags: Any, role: Any):
    export.users[1] |= flags

    assert imported().data("workspace_member.joined")[1]["role"] == role


def test_a_later_change_is_an_update_at_its_time(export: Any, imported: Any):
    export.users[1]["updated"] = 1_550_000_000

    result = imported()
    update = result.one("user.updated")

    assert update.time.timestamp() == 1_550_000_000
    assert update.sequence > result.of("user.registered")[1].sequence
    assert update.data == result.of("user.registered")[1].data
    assert result.one("workspace_member.updated").sequence == update.sequence


def test_a_deactivated_account_is_suspended_and_leaves_the_workspace(export: Any, imported: Any):
    export.users[1] |= {"deleted": True, "updated": 1_550_000_000}

    result = imported()

    assert result.one("user.status_changed").data["status"] == "suspended"
    assert result.one("workspace_member.left").time.timestamp() == 1_550_000_000
    assert result.one("workspace_member.left").sequence > result.of("workspace_member.joined")[1].sequence
    assert result.of("workspace_member.updated") == []


def test_a_deactivated_account_without_a_time_still_leaves_after_it_joined(export: Any, imported: Any):
    export.users[1]["deleted"] = True

    result = imported()

    assert result.one("workspace_member.left").sequence > result.of("workspace_member.joined")[1].sequence


def test_somebody_in_no_list_is_registered_before_their_message_and_counted(export: Any, imported: Any):
    export.message(0, user="U9", user_profile={"real_name": "Grace H"})
    export.message(1, user="U9")

    result = imported()
    types = [event.type for event in result.events]
    registered = result.of("user.registered")[2]

    assert registered.data | {"display_name": "Grace H", "email": "u9@slack.invalid"} == registered.data
    assert types.index("collab.message.posted") > result.events.index(registered)
    assert result.odd() == {"user_not_in_users": 1}
    assert {data["user_id"] for data in result.data("message.posted")} == {registered.data["user_id"]}


def test_people_are_met_in_mentions_reactions_members_pins_and_edits_too(export: Any, imported: Any):
    export.channel["members"] = ["U1", "U11"]
    export.message(
        0,
        "hi <@U12>",
        reactions=[{"name": "tada", "users": ["U13"], "count": 1}],
        edited={"user": "U14", "ts": "1600000100.000000"},
        pinned_info={"pinned_by": "U15", "pinned_ts": 1_600_000_200},
    )

    assert imported().odd() == {"user_not_in_users": 5}
    assert len(imported().of("user.registered")) == 7


def test_slackbot_is_everywhere_and_no_surprise(export: Any, imported: Any):
    export.message(0, user="USLACKBOT")

    assert imported().odd() == {}
    assert imported().user_id("slackbot") == imported().one("message.posted").data["user_id"]
    assert imported().one("message.posted").data["message_type"] == "bot"
