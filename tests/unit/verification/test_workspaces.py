"""Workspaces, members, invitations, integrations (1, 2, 9, 13, 15, 32, 35)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tailrace.verification.fold_log import OneOf

Fold = Callable[..., Any]
At = Callable[[str], datetime]


# ── workspaces ──
def test_member_count_counts_active_members(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.workspace(), given.hired("ana"), given.hired("bo"), given.hired("cy"), given.removed("cy")
    )
    assert tables.row("workspaces", "w1")["member_count"] == 2


def test_the_profile_comes_from_the_highest_sequence(given: Any, folded_in_any_order: Fold):
    created = given.workspace(seq=2)
    updated = given.workspace("workspace.updated", seq=1, name="Stale", settings={"timezone": "UTC"})
    row = folded_in_any_order(created, updated).row("workspaces", "w1")
    assert (row["name"], row["settings"], row["created_at"]) == ("Acme", {}, created.time)


def test_created_at_is_that_of_the_lowest_creation_and_updated_at_of_the_newest_holder(
    given: Any, folded_in_any_order: Fold, time: At
):
    row = folded_in_any_order(
        given.workspace(seq=3, time="10:00"),
        given.workspace(seq=2, time="10:10"),
        given.workspace("workspace.updated", seq=1, time="10:30"),
        given.workspace_deleted(seq=1, time="10:20"),
    ).row("workspaces", "w1")
    assert (row["created_at"], row["updated_at"]) == (time("10:10"), time("10:20"))


@pytest.mark.parametrize("deletion_seq", [1, 99])
def test_a_deletion_wins_wherever_it_stands(given: Any, folded_in_any_order: Fold, deletion_seq: int):
    deletion = given.workspace_deleted(seq=deletion_seq)
    tables = folded_in_any_order(given.workspace(seq=2), deletion, given.hired("ana", seq=3))
    row = tables.row("workspaces", "w1")
    assert (row["deleted_at"], row["member_count"], row["name"]) == (deletion.time, 0, "Acme")


def test_a_deletion_before_the_profile_makes_a_row_without_a_profile(given: Any, folded: Fold):
    row = folded(given.workspace_deleted()).row("workspaces", "w1")
    assert (row["name"], row["created_at"]) == (None, None)


def test_members_alone_make_no_workspace(given: Any, folded: Fold):
    assert folded(given.hired())["workspaces"] == {}


# ── workspace_members ──
def test_join_leave_join_in_any_order_is_active_since_the_last_join(given: Any, folded_in_any_order: Fold):
    first, out, again = given.hired(seq=1), given.removed(seq=2), given.hired(seq=3, role="admin")
    row = folded_in_any_order(first, out, again).row("workspace_members", "w1", "ana")
    assert (row["status"], row["role"], row["joined_at"], row["left_at"]) == ("active", "admin", again.time, None)


def test_leaving_before_joining_keeps_what_the_join_says(given: Any, folded_in_any_order: Fold):
    joined, out = given.hired(seq=1, role="guest", title="Painter"), given.removed(seq=2)
    row = folded_in_any_order(joined, out).row("workspace_members", "w1", "ana")
    assert (row["status"], row["role"], row["title"]) == ("deactivated", "guest", "Painter")
    assert (row["joined_at"], row["left_at"]) == (joined.time, out.time)


def test_an_update_after_leaving_means_active(given: Any, folded_in_any_order: Fold):
    joined = given.hired(seq=1)
    updated = given.hired(name="workspace_member.updated", seq=3, role="admin")
    row = folded_in_any_order(joined, given.removed(seq=2), updated).row("workspace_members", "w1", "ana")
    assert (row["status"], row["role"], row["joined_at"]) == ("active", "admin", joined.time)


def test_without_a_join_the_winning_event_gives_joined_at(given: Any, folded_in_any_order: Fold):
    early = given.hired(name="workspace_member.updated", seq=1)
    late = given.hired(name="workspace_member.updated", seq=2)
    assert folded_in_any_order(early, late).row("workspace_members", "w1", "ana")["joined_at"] == late.time


def test_without_a_join_the_winning_event_may_be_the_leave(given: Any, folded_in_any_order: Fold):
    out = given.removed(seq=2)
    updated = given.hired(name="workspace_member.updated", seq=1)
    row = folded_in_any_order(updated, out).row("workspace_members", "w1", "ana")
    assert (row["joined_at"], row["left_at"]) == (out.time, out.time)


def test_leaving_alone_makes_a_row_that_is_not_active(given: Any, folded: Fold):
    out = given.removed()
    row = folded(out).row("workspace_members", "w1", "ana")
    assert (row["status"], row["role"], row["left_at"]) == ("deactivated", None, out.time)


def test_updated_at_of_a_member_is_the_newest_of_the_winning_events(given: Any, folded_in_any_order: Fold, time: At):
    row = folded_in_any_order(
        given.hired(seq=1, time="10:00"),
        given.hired(name="workspace_member.updated", seq=2, time="10:20"),
        given.hired(name="workspace_member.updated", seq=3, time="10:10"),
    ).row("workspace_members", "w1", "ana")
    assert row["updated_at"] == time("10:10")


def test_the_join_that_gives_joined_at_holds_a_register_even_under_an_update(
    given: Any, folded_in_any_order: Fold, time: At
):
    row = folded_in_any_order(
        given.hired(seq=1, time="10:30"), given.hired(name="workspace_member.updated", seq=2, time="10:10")
    ).row("workspace_members", "w1", "ana")
    assert (row["joined_at"], row["updated_at"]) == (time("10:30"), time("10:30"))


def test_the_deletion_of_the_workspace_ends_memberships_whenever_they_began(given: Any, folded_in_any_order: Fold):
    deletion = given.workspace_deleted()
    tables = folded_in_any_order(given.hired("ana"), deletion, given.hired("bo"))
    left = {key: (row["status"], row["left_at"]) for key, row in tables["workspace_members"].items()}
    assert set(left.values()) == {("deactivated", deletion.time)}


def test_an_own_leave_keeps_its_time_when_the_workspace_is_deleted(given: Any, folded_in_any_order: Fold):
    out = given.removed(seq=2)
    row = folded_in_any_order(given.hired(seq=1), out, given.workspace_deleted()).row("workspace_members", "w1", "ana")
    assert row["left_at"] == out.time


def test_erasure_ends_memberships_before_the_deletion_of_the_workspace_does(given: Any, folded_in_any_order: Fold):
    erasure = given.erased()
    row = folded_in_any_order(given.hired(), given.workspace_deleted(), erasure).row("workspace_members", "w1", "ana")
    assert (row["status"], row["left_at"]) == ("deactivated", erasure.time)


@pytest.mark.parametrize("status", ["suspended", "deleted"])
def test_a_changed_status_alone_ends_no_membership(given: Any, folded: Fold, status: str):
    tables = folded(given.user(), given.hired(), given.joined(), given.status(status))
    assert tables.row("workspace_members", "w1", "ana")["status"] == "active"
    assert tables.row("channel_members", "c1", "ana")["is_active"] is True


def test_last_seen_is_the_newest_session_or_activity_event_of_that_workspace(
    given: Any, folded_in_any_order: Fold, time: At
):
    tables = folded_in_any_order(
        given.hired(),
        given.activity(time="10:10"),
        given.activity(time="10:00"),
        given.started(time="09:00"),
        given.ended(time="10:30"),
        given.activity(workspace_id="w2", time="11:00"),
    )
    assert tables.row("workspace_members", "w1", "ana")["last_seen_at"] == time("10:30")


def test_last_seen_may_be_an_activity_before_the_session_in_the_log(given: Any, folded_in_any_order: Fold, time: At):
    tables = folded_in_any_order(given.hired(), given.activity(time="11:00"), given.started(time="09:00"))
    assert tables.row("workspace_members", "w1", "ana")["last_seen_at"] == time("11:00")


def test_signs_of_life_alone_make_no_member(given: Any, folded: Fold):
    assert folded(given.activity(), given.started())["workspace_members"] == {}


# ── workspace_invitations ──
def test_an_acceptance_before_the_invitation_loses_neither(given: Any, folded_in_any_order: Fold):
    created = given.invitation(seq=1)
    accepted = given.invitation("invitation.accepted", seq=2, user_id="bo")
    row = folded_in_any_order(created, accepted).row("workspace_invitations", "i1")
    assert (row["email"], row["created_at"], row["used_at"]) == ("bo@example.org", created.time, accepted.time)
    assert row["revoked_at"] is None


def test_of_two_invitations_the_highest_gives_the_columns_and_the_lowest_created_at(
    given: Any, folded_in_any_order: Fold
):
    second, first = given.invitation(seq=2, email="new@example.org"), given.invitation(seq=1)
    row = folded_in_any_order(second, first).row("workspace_invitations", "i1")
    assert (row["email"], row["created_at"]) == ("new@example.org", first.time)


def test_acceptance_and_revocation_are_registers_of_their_own(given: Any, folded_in_any_order: Fold):
    accepted = given.invitation("invitation.accepted", seq=2)
    revoked = given.invitation("invitation.revoked", seq=1)
    row = folded_in_any_order(accepted, revoked).row("workspace_invitations", "i1")
    assert (row["used_at"], row["revoked_at"], row["email"]) == (accepted.time, revoked.time, None)
    assert row["workspace_id"] == OneOf((None, "w1", "w1"))


# ── integrations ──
def test_a_removed_integration_has_no_row(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.integration(seq=1), given.integration("integration.removed", seq=2))
    assert tables["integrations"] == {}


def test_installing_again_with_a_higher_sequence_brings_it_back(given: Any, folded_in_any_order: Fold):
    first = given.integration(seq=1)
    again = given.integration(seq=3, config={"a": 2})
    removal = given.integration("integration.removed", seq=2)
    row = folded_in_any_order(first, removal, again).row("integrations", "g1")
    assert (row["config"], row["created_at"], row["updated_at"]) == ({"a": 2}, first.time, again.time)


def test_an_update_before_the_installation_has_no_created_at(given: Any, folded: Fold):
    row = folded(given.integration("integration.updated", status="error")).row("integrations", "g1")
    assert (row["status"], row["created_at"]) == ("error", None)
