"""SEMANTICS, cases 30 to 38: users, workspaces, channels and who is in them."""

from contract_events import Given, at, in_world
from read_models import ReadModels, log_of
from worlds import Tell

# ── channel memberships ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_30_join_leave_join_ends_as_a_member(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(time="11:00", seq=1),
        given.joined("bo", seq=2, time="12:01"),
        given.left("bo", seq=3, time="12:02"),
        given.joined("bo", seq=4, time="12:03", role="admin"),
    )

    member = rows.member("bo")
    assert (member["is_active"], member["joined_at"], member["left_at"]) == (True, at("12:03"), None)
    assert member["role"] == "admin"
    assert rows.channel()["member_count"] == 1


async def test_30_join_join_leave_ends_as_nobody_with_the_settings_of_the_last_join(
    given: Given, told_in_any_order: Tell
):
    rows = await told_in_any_order(
        given.joined("bo", seq=1, time="12:01"),
        given.joined("bo", seq=2, time="12:02", role="admin", muted=True, invited_by="ana"),
        given.left("bo", seq=3, time="12:03"),
        given.channel(),
    )

    assert rows.member("bo") == {
        "channel_id": "c1",
        "user_id": "bo",
        "workspace_id": "w1",
        "role": "admin",
        "notification_level": "all",
        "muted": True,
        "muted_until": None,
        "is_active": False,
        "joined_at": at("12:02"),
        "left_at": at("12:03"),
        "invited_by": "ana",
        "last_read_message_id": None,
        "last_read_at": None,
    }
    assert rows.channel()["member_count"] == 0


async def test_30_an_update_means_active(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.left("bo", seq=1), given.joined("bo", seq=2, kind="updated", time="12:02"))

    assert (rows.member("bo")["is_active"], rows.member("bo")["joined_at"]) == (True, at("12:02"))


async def test_31_a_read_after_leaving_makes_nobody_a_member(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.joined("bo", seq=1), given.left("bo", seq=2, time="12:02"), given.read("m1", "12:30", "bo", seq=3)
    )

    member = rows.member("bo")
    assert (member["is_active"], member["left_at"]) == (False, at("12:02"))
    assert (member["last_read_message_id"], member["last_read_at"]) == ("m1", at("12:30"))


# ── workspace memberships ────────────────────────────────────────────────────────────────────────────────────────────


async def test_32_removed_from_the_workspace_is_removed_from_its_channels_and_the_messages_stay(
    given: Given, told_in_any_order: Tell
):
    rows = await told_in_any_order(
        given.workspace(),
        given.channel("c1"),
        given.channel("c2"),
        given.hired("bo", seq=1, time="12:01"),
        given.joined("bo", "c1", seq=1, time="12:02"),
        given.joined("bo", "c2", seq=1, time="12:03"),
        given.joined("cy", "c1", seq=1, time="12:04"),
        given.posted("m1", user_id="bo"),
        given.removed("bo", seq=2, time="12:05", removed_by="ana"),
    )

    assert rows.row("workspace_members", "w1", "bo")["status"] == "deactivated"
    assert rows.row("workspace_members", "w1", "bo")["left_at"] == at("12:05")
    for channel_id in ("c1", "c2"):
        member = rows.member("bo", channel_id)
        assert (member["is_active"], member["left_at"]) == (False, at("12:05"))
    assert rows.row("workspaces", "w1")["member_count"] == 0
    assert (rows.channel("c1")["member_count"], rows.channel("c2")["member_count"]) == (1, 0)
    assert rows.visible() == {"m1"}


async def test_32_the_membership_of_another_workspace_goes_on(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.hired("bo", "w1", seq=1, time="12:01"),
        given.hired("bo", "w2", seq=1, time="12:01"),
        given.joined("bo", "c2", workspace_id="w2", time="12:02"),
        given.removed("bo", "w1", seq=2, time="12:03"),
    )

    assert rows.row("workspace_members", "w2", "bo")["status"] == "active"
    assert rows.member("bo", "c2")["is_active"] is True


async def test_32_an_unknown_workspace_membership_ends_nothing(given: Given, told: Tell):
    rows = await told(given.joined("bo"))

    assert rows.member("bo")["is_active"] is True


async def test_33_invited_again_is_in_no_channel_until_joining_anew(given: Given, told_in_any_order: Tell):
    story = [
        given.channel("c1"),
        given.channel("c2"),
        given.hired("bo", seq=1, time="12:01"),
        given.joined("bo", "c1", seq=1, time="12:02"),
        given.joined("bo", "c2", seq=1, time="12:02"),
        given.removed("bo", seq=2, time="12:03"),
        given.hired("bo", seq=3, time="12:04", role="guest"),
        given.joined("bo", "c2", seq=2, time="12:05"),
    ]
    rows = await told_in_any_order(*story)

    hired = rows.row("workspace_members", "w1", "bo")
    assert (hired["status"], hired["role"], hired["joined_at"], hired["left_at"]) == (
        "active", "guest", at("12:04"), None,
    )  # fmt: skip
    before, anew = rows.member("bo", "c1"), rows.member("bo", "c2")
    assert (before["is_active"], before["left_at"]) == (False, at("12:03"))
    assert (anew["is_active"], anew["joined_at"], anew["left_at"]) == (True, at("12:05"), None)
    assert (rows.channel("c1")["member_count"], rows.channel("c2")["member_count"]) == (0, 1)


async def test_33_a_join_at_the_very_time_of_the_removal_began_not_after_it(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.hired("bo", seq=1, time="12:01"),
        given.removed("bo", seq=2, time="12:03"),
        given.hired("bo", seq=3, time="12:04"),
        given.joined("bo", time="12:03"),
    )

    assert rows.member("bo")["is_active"] is False


async def test_a_membership_left_before_it_was_joined_keeps_its_settings(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.hired("bo", seq=1, time="12:01", role="admin", title="Dr", permissions={"edit": True}),
        given.removed("bo", seq=2, time="12:02"),
    )

    assert rows.row("workspace_members", "w1", "bo") == {
        "workspace_id": "w1",
        "user_id": "bo",
        "role": "admin",
        "title": "Dr",
        "department": None,
        "status": "deactivated",
        "invited_by": None,
        "permissions": {"edit": True},
        "timezone": None,
        "last_seen_at": None,
        "joined_at": at("12:01"),
        "left_at": at("12:02"),
        "updated_at": at("12:02"),
    }


async def test_last_seen_is_the_greatest_time_of_activity_and_sessions(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.hired("bo", time="12:00"),
        given.activity("bo", time="12:30"),
        given.started("s1", "bo", time="12:20"),
        given.ended("s1", "bo", time="12:40"),
    )

    assert rows.row("workspace_members", "w1", "bo")["last_seen_at"] == at("12:40")


# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_34_renamed_and_back_has_the_first_name(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.user("bo", seq=1, time="12:01", display_name="Bo"),
        given.user("bo", "updated", seq=2, time="12:02", display_name="Robert"),
        given.user("bo", "updated", seq=3, time="12:03", display_name="Bo"),
        given.posted("m1", user_id="bo"),
    )

    user = rows.row("users", "bo")
    assert (user["display_name"], user["created_at"], user["updated_at"]) == ("Bo", at("12:01"), at("12:03"))


async def test_34_registers_of_a_user_do_not_disturb_each_other(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.user("bo", seq=4, time="12:04", title="Dr"),
        given.status("suspended", "bo", seq=1, time="12:09"),
        given.preferences("bo", seq=2, time="12:02"),
        given.logged_in("bo", seq=3, time="12:03"),
    )

    assert rows.row("users", "bo") == {
        "user_id": "bo",
        "email": "bo@example.org",
        "username": "bo",
        "display_name": "Bo",
        "avatar_url": None,
        "timezone": "UTC",
        "status": "suspended",
        "title": "Dr",
        "phone": None,
        "bio": None,
        "pronouns": None,
        "notification_settings": {"sound": True},
        "theme_preferences": {"dark": False},
        "language": "pt",
        "created_at": at("12:04"),
        "updated_at": at("12:09"),
        "last_login_at": at("12:03"),
    }


async def test_a_user_known_only_by_a_login_is_active_and_nameless(given: Given, told: Tell):
    rows = await told(given.logged_in("bo", time="12:03"))

    user = rows.row("users", "bo")
    assert (user["status"], user["username"], user["created_at"]) == ("active", None, None)


async def test_created_at_is_the_lowest_creating_event_even_when_it_is_stale(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.user("bo", seq=2, time="12:02"),
        given.user("bo", "updated", seq=5, time="12:05", display_name="B"),
        given.user("bo", seq=3, time="12:03"),
    )

    assert (rows.row("users", "bo")["created_at"], rows.row("users", "bo")["display_name"]) == (at("12:02"), "B")


async def test_35_two_users_swap_usernames_and_two_channels_names(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.user("bo", seq=1, username="red"),
        given.user("cy", seq=1, username="blue"),
        given.user("bo", "updated", seq=2, username="blue"),
        given.user("cy", "updated", seq=2, username="red"),
        given.channel("c1", seq=1, name="red"),
        given.channel("c2", seq=1, name="blue"),
        given.channel("c1", "updated", seq=2, name="blue"),
        given.channel("c2", "updated", seq=2, name="red"),
    )

    assert (rows.row("users", "bo")["username"], rows.row("users", "cy")["username"]) == ("blue", "red")
    assert (rows.channel("c1")["name"], rows.channel("c2")["name"]) == ("blue", "red")


async def test_35_names_held_by_two_are_shown_as_conflicts(given: Given, models: ReadModels):
    events = [
        given.user("bo", username="Red", email="a@x"),
        given.user("cy", username="red", email="b@x"),
        given.user("di", username="red", email="B@x"),
        given.erased("di"),
        given.channel("c1", name="general"),
        given.channel("c2", name="General"),
        given.channel("c3", name="general", workspace_id="w2"),
    ]

    models.clear()
    await models.apply([log_of(map(in_world, events), models.settings)])

    conflicts = models.execute("SELECT kind, workspace_id, name, ids FROM collab.name_conflicts ORDER BY kind, name")
    assert conflicts == [
        {"kind": "channel_name", "workspace_id": "w1", "name": "general", "ids": ["c1", "c2"]},
        {"kind": "username", "workspace_id": None, "name": "red", "ids": ["bo", "cy"]},
    ]


# ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_36_public_to_private_and_back(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel("c1", seq=1, time="12:01"),
        given.channel("c1", "updated", seq=2, time="12:02", channel_type="private"),
        given.channel("c1", "updated", seq=3, time="12:03", channel_type="public", topic="back"),
    )

    assert rows.channel() == {
        "channel_id": "c1",
        "workspace_id": "w1",
        "name": "c1",
        "display_name": None,
        "description": None,
        "channel_type": "public",
        "is_archived": False,
        "is_general": False,
        "topic": "back",
        "purpose": None,
        "retention_policy": None,
        "allow_threads": True,
        "allow_file_upload": True,
        "allow_external_sharing": True,
        "created_by": "ana",
        "member_count": 0,
        "last_message_at": None,
        "created_at": at("12:01"),
        "updated_at": at("12:03"),
        "archived_at": None,
        "deleted_at": None,
    }


async def test_37_an_archived_channel_takes_late_messages(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(seq=1),
        given.joined("bo", seq=2),
        given.channel(kind="archived", seq=3, time="12:03"),
        given.posted("m1", seq=4, time="12:30"),
    )

    channel = rows.channel()
    assert (channel["is_archived"], channel["archived_at"]) == (True, at("12:03"))
    assert (channel["last_message_at"], channel["member_count"]) == (at("12:30"), 1)
    assert rows.visible() == {"m1"}


async def test_37_unarchived_is_as_before(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(kind="archived", seq=3), given.channel(kind="unarchived", seq=4, time="12:04")
    )

    channel = rows.channel()
    assert (channel["is_archived"], channel["archived_at"], channel["updated_at"]) == (False, None, at("12:04"))


async def test_38_the_end_of_a_mute_is_stored_and_needs_no_event(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.joined("bo", seq=1),
        given.joined("bo", kind="updated", seq=2, muted=True, muted_until="2026-11-20T12:30:00Z"),
    )

    assert (rows.member("bo")["muted"], rows.member("bo")["muted_until"]) == (True, at("12:30"))


async def test_a_deleted_channel_keeps_its_rows_and_its_members(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(seq=1),
        given.joined("bo", seq=2),
        given.channel(kind="deleted", seq=3, time="12:03"),
        given.channel(kind="updated", seq=4, time="12:04"),
        given.posted("m1", seq=5),
    )

    channel = rows.channel()
    assert (channel["deleted_at"], channel["member_count"]) == (at("12:03"), 1)
    assert rows.member("bo")["is_active"] is True
    assert rows.visible() == {"m1"}


async def test_40_the_10_001st_member_and_back(given: Given, models: ReadModels):
    hired = [in_world(given.hired(f"u{number}", time="12:00")) for number in range(10_001)]
    log = log_of(
        [in_world(given.workspace(time="12:00")), *hired, in_world(given.removed("u7", time="12:30"))], models.settings
    )
    models.clear()
    counts = []
    for batch in (log[:-2], log[-2:-1], log[-1:]):
        await models.apply([batch[start : start + 5_000] for start in range(0, len(batch), 5_000)])
        counts += [row["member_count"] for row in models.execute("SELECT member_count FROM collab.workspaces")]

    assert counts == [10_000, 10_001, 10_000]
    models.rewind()
    await models.apply([log])
    assert models.execute("SELECT member_count FROM collab.workspaces") == [{"member_count": 10_000}]
