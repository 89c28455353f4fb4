"""SEMANTICS, cases 39, 41 and 42: what ends for good, who is general; invitations and integrations."""

from contract_events import Given, at
from worlds import Tell

# ── final ends ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_39_a_deleted_workspace_has_no_members_whatever_comes_later(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.workspace("w1", seq=1),
        given.channel("c1"),
        given.hired("bo", seq=1, time="12:01"),
        given.joined("bo", seq=1, time="12:02"),
        given.workspace_deleted("w1", seq=2, time="12:10"),
        given.workspace("w1", "updated", seq=3, name="Late"),
        given.hired("cy", time="12:20"),
        given.joined("cy", time="12:21"),
        given.posted("m1", time="12:22"),
    )

    assert rows.row("workspaces", "w1")["deleted_at"] == at("12:10")
    assert rows.row("workspaces", "w1")["member_count"] == 0
    assert rows.channel()["member_count"] == 0
    for user_id in ("bo", "cy"):
        hired = rows.row("workspace_members", "w1", user_id)
        assert (hired["status"], hired["left_at"]) == ("deactivated", at("12:10"))
        assert rows.member(user_id)["is_active"] is False


async def test_39_its_neighbours_are_untouched(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.workspace("w2", seq=1),
        given.channel("c2", workspace_id="w2"),
        given.hired("bo", "w2"),
        given.joined("bo", "c2", workspace_id="w2"),
        given.workspace_deleted("w1"),
        given.posted("m1", channel_id="c2", workspace_id="w2"),
    )

    assert (rows.row("workspaces", "w2")["deleted_at"], rows.row("workspaces", "w2")["member_count"]) == (None, 1)
    assert rows.channel("c2")["member_count"] == 1
    assert rows.visible() == {"m1"}


async def test_41_an_erased_user_is_gone_from_everywhere(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.user("bo", seq=1, time="12:00", title="Dr", phone="1"),
        given.preferences("bo", seq=2),
        given.hired("bo", seq=1, time="12:01"),
        given.channel("c1", time="11:00"),
        given.joined("bo", seq=1, time="12:02"),
        given.posted("m1", "secret", user_id="bo", seq=1, time="12:03", formatted_content={"b": 1}),
        given.edited("more secrets", seq=2, time="12:04", editor_id="bo"),
        given.about("pinned", seq=3),
        given.posted("m2", "of somebody else", time="12:05"),
        given.reacted("👍", "m2", "bo"),
        given.reacted("👍", "m1", "ana"),
        given.uploaded("f1", uploader_id="bo", time="12:06"),
        given.shared("f1", "m2"),
        given.erased("bo", seq=9, time="12:30"),
    )

    assert rows.row("users", "bo") == {
        "user_id": "bo",
        **dict.fromkeys(
            ("email", "username", "avatar_url", "timezone", "title", "phone", "bio", "pronouns", "language")
        ),
        **dict.fromkeys(("notification_settings", "theme_preferences", "last_login_at")),
        "display_name": "Deleted user",
        "status": "deleted",
        "created_at": at("12:00"),
        "updated_at": at("12:30"),
    }
    assert rows.row("workspace_members", "w1", "bo")["left_at"] == at("12:30")
    assert (rows.member("bo")["is_active"], rows.member("bo")["left_at"]) == (False, at("12:30"))
    own = rows.message("m1")
    assert (own["content"], own["formatted_content"], own["edit_history"], own["edit_count"]) == ("", None, [], 0)
    assert (own["is_deleted"], own["deleted_at"], own["is_pinned"]) == (True, at("12:30"), False)
    assert own["reactions"] == {"👍": ["ana"]}
    assert (rows.message("m2")["reactions"], rows.message("m2")["has_files"]) == ({}, False)
    assert rows.reactions() == set()
    assert rows["channel_pins"] == {}
    assert rows.file("f1")["deleted_at"] == at("12:30")
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (2, 2, len("secret" + "of somebody else"))


async def test_41_what_comes_after_the_erasure_is_as_if_it_had_come_before(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.erased("bo", seq=1, time="12:00"),
        given.user("bo", "updated", seq=2, time="12:10"),
        given.posted("m1", "late", user_id="bo", time="12:11"),
        given.uploaded("f1", uploader_id="bo", time="12:12"),
        given.hired("bo", time="12:13"),
        given.joined("bo", time="12:14"),
    )

    assert (rows.row("users", "bo")["email"], rows.row("users", "bo")["status"]) == (None, "deleted")
    assert (rows.message()["content"], rows.message()["deleted_at"]) == ("", at("12:00"))
    assert rows.file("f1")["deleted_at"] == at("12:00")
    assert rows.row("workspace_members", "w1", "bo")["status"] == "deactivated"
    assert rows.member("bo")["is_active"] is False
    assert rows.counts("daily_active_users", "w1", at("12:00").date()) == (1, 1, 0, 1)


async def test_41_an_own_delete_keeps_its_time(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", user_id="bo", seq=1),
        given.about("deleted", seq=2, time="12:05"),
        given.erased("bo", time="12:30"),
    )

    assert rows.message()["deleted_at"] == at("12:05")


async def test_a_suspended_user_stays_a_member(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.hired("bo", time="12:00"), given.joined("bo", time="12:01"), given.status("deleted", "bo")
    )

    assert rows.row("workspace_members", "w1", "bo")["status"] == "active"
    assert rows.member("bo")["is_active"] is True


# ── who is general ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_42_the_newest_claim_by_sequence_is_general(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel("c1", seq=1, is_general=True),
        given.channel("c2", seq=2, is_general=True),
        given.channel("c3", seq=3),
    )

    assert {c: rows.channel(c)["is_general"] for c in ("c1", "c2", "c3")} == {"c1": False, "c2": True, "c3": False}


async def test_42_general_moves_back_when_its_holder_lets_go_or_is_deleted(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel("c1", seq=1, is_general=True),
        given.channel("c2", seq=2, is_general=True),
        given.channel("c3", seq=3, is_general=True),
        given.channel("c2", "updated", seq=4, is_general=False),
        given.channel("c3", "deleted", seq=5),
        given.channel("c4", seq=9, is_general=True, workspace_id="w2"),
    )

    general = {c: rows.channel(c)["is_general"] for c in ("c1", "c2", "c3", "c4")}
    assert general == {"c1": True, "c2": False, "c3": False, "c4": True}


# ── invitations and integrations ─────────────────────────────────────────────────────────────────────────────────────


async def test_an_invitation_keeps_what_its_creation_said(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.invited(seq=1, time="12:01"),
        given.invitation("accepted", seq=2, time="12:02"),
        given.invitation("revoked", seq=3, time="12:03"),
    )

    assert rows.row("workspace_invitations", "i1") == {
        "invitation_id": "i1",
        "workspace_id": "w1",
        "email": "bo@example.org",
        "role": "guest",
        "expires_at": at("18:00"),
        "created_by": "ana",
        "created_at": at("12:01"),
        "used_at": at("12:02"),
        "revoked_at": at("12:03"),
    }


async def test_a_removed_integration_has_no_row(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.integration(seq=1), given.integration("removed", seq=2))

    assert rows["integrations"] == {}


async def test_an_integration_installed_again_is_back(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.integration(seq=1, time="12:01"),
        given.integration("removed", seq=2, time="12:02"),
        given.integration(seq=3, time="12:03", scopes=["read", "write"]),
    )

    assert rows.row("integrations", "g1") == {
        "integration_id": "g1",
        "workspace_id": "w1",
        "app_name": "Bot",
        "app_id": "b",
        "integration_type": "bot",
        "config": {"a": 1},
        "scopes": ["read", "write"],
        "channel_id": None,
        "status": "active",
        "last_error": None,
        "installed_by": "ana",
        "created_at": at("12:01"),
        "updated_at": at("12:03"),
    }
