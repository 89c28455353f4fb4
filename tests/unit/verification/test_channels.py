"""Channels, their members and read positions (1, 3, 4, 6-8, 11, 14, 28, 32, 35-37)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tailrace.verification.fold_log import FreeRow, OneOf

Fold = Callable[..., Any]
At = Callable[[str], datetime]


# ── channels ──
def test_archiving_before_the_profile_makes_a_row(given: Any, folded: Fold):
    archived = given.channel("channel.archived")
    row = folded(archived).row("channels", "c1")
    assert (row["is_archived"], row["archived_at"], row["name"]) == (True, archived.time, None)
    assert row["workspace_id"] == OneOf((None, "w1"))


def test_unarchiving_clears_archived_at(given: Any, folded_in_any_order: Fold):
    row = folded_in_any_order(
        given.channel(seq=1), given.channel("channel.archived", seq=2), given.channel("channel.unarchived", seq=3)
    ).row("channels", "c1")
    assert (row["is_archived"], row["archived_at"]) == (False, None)


def test_an_archived_channel_still_takes_messages_and_members(given: Any, folded: Fold):
    post = given.posted()
    row = folded(given.channel(), given.channel("channel.archived"), given.joined(), post).row("channels", "c1")
    assert (row["member_count"], row["last_message_at"]) == (1, post.data["created_at"])


def test_a_deleted_channel_keeps_its_members_and_messages(given: Any, folded_in_any_order: Fold):
    deletion, post = given.channel("channel.deleted"), given.posted()
    tables = folded_in_any_order(given.channel(), given.joined(), deletion, post)
    row = tables.row("channels", "c1")
    assert (row["deleted_at"], row["member_count"], row["last_message_at"]) == (deletion.time, 1, post.time)
    assert tables.row("channel_members", "c1", "ana")["is_active"] is True
    assert tables.message()["is_deleted"] is False


@pytest.mark.parametrize("name", ["posted", "joined"])
def test_messages_and_members_make_no_channel(given: Any, folded: Fold, name: str):
    assert folded(getattr(given, name)())["channels"] == {}


def test_a_read_makes_no_channel(given: Any, folded: Fold):
    assert folded(given.read("m1", "12:00"))["channels"] == {}


def test_updated_at_is_the_newest_of_profile_archiving_and_deletion(given: Any, folded_in_any_order: Fold, time: At):
    row = folded_in_any_order(
        given.channel(seq=1, time="10:00"),
        given.channel("channel.archived", seq=2, time="10:05"),
        given.channel("channel.unarchived", seq=1, time="10:30"),
    ).row("channels", "c1")
    assert row["updated_at"] == time("10:05")


def test_a_deletion_moves_updated_at_and_the_lowest_creation_gives_created_at(
    given: Any, folded_in_any_order: Fold, time: At
):
    row = folded_in_any_order(
        given.channel(seq=2, time="10:00"),
        given.channel(seq=1, time="10:05"),
        given.channel("channel.deleted", seq=1, time="10:30"),
    ).row("channels", "c1")
    assert (row["created_at"], row["updated_at"]) == (time("10:05"), time("10:30"))


def test_two_channels_swap_their_names(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.channel(channel_id="c1", seq=1, name="x"),
        given.channel(channel_id="c2", seq=1, name="y"),
        given.channel("channel.updated", channel_id="c1", seq=2, name="y"),
        given.channel("channel.updated", channel_id="c2", seq=2, name="x"),
    )
    assert {key: row["name"] for key, row in tables["channels"].items()} == {("c1",): "y", ("c2",): "x"}


def test_last_message_at_is_of_the_newest_visible_message_and_rewinds(given: Any, folded: Fold):
    events = [
        given.channel(),
        given.posted("m1", time="10:00"),
        given.posted("m2", time="11:00", thread_id="m1"),
        given.posted("m3", time="12:00", message_type="system"),
    ]
    assert folded(*events).row("channels", "c1")["last_message_at"] == events[3].time
    deleted = given.about("message.deleted", "m3")
    assert folded(*events, deleted).row("channels", "c1")["last_message_at"] == events[2].time
    restored = given.about("message.restored", "m3")
    assert folded(*events, deleted, restored).row("channels", "c1")["last_message_at"] == events[3].time
    assert folded(*events, given.erased("ana")).row("channels", "c1")["last_message_at"] is None


# ── is_general ──
def test_the_highest_rank_that_says_general_shows_it(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.channel(channel_id="c1", seq=5, is_general=True),
        given.channel(channel_id="c2", seq=7, is_general=True),
        given.channel(channel_id="c3", seq=9, is_general=False),
        given.channel(channel_id="c4", seq=3, is_general=True, workspace_id="w2"),
    )
    general = {key: row["is_general"] for key, row in tables["channels"].items()}
    assert general == {("c1",): False, ("c2",): True, ("c3",): False, ("c4",): True}


def test_general_of_equal_sequences_is_the_greater_event_id(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.channel(channel_id="c1", seq=5, id="b", is_general=True),
        given.channel(channel_id="c2", seq=5, id="a", is_general=True),
    )
    assert tables.row("channels", "c1")["is_general"] is True


def test_general_falls_back_when_the_newest_is_deleted_or_says_no(given: Any, folded_in_any_order: Fold):
    old = given.channel(channel_id="c1", seq=1, is_general=True)
    new = given.channel(channel_id="c2", seq=2, is_general=True)
    for event in (
        given.channel("channel.deleted", channel_id="c2", seq=3),
        given.channel("channel.updated", channel_id="c2", seq=3, is_general=False),
    ):
        tables = folded_in_any_order(old, new, event)
        assert tables.row("channels", "c1")["is_general"] is True
        assert tables.row("channels", "c2")["is_general"] is False


# ── channel_members ──
def test_leaving_and_joining_again_starts_anew_and_keeps_the_role_of_the_join(given: Any, folded_in_any_order: Fold):
    first, out = given.joined(seq=1), given.left(seq=2)
    again = given.joined(seq=3, role="admin", muted=True)
    row = folded_in_any_order(first, out, again).row("channel_members", "c1", "ana")
    assert (row["is_active"], row["joined_at"], row["left_at"]) == (True, again.time, None)
    assert (row["role"], row["muted"]) == ("admin", True)


def test_leaving_before_joining_keeps_role_and_level(given: Any, folded_in_any_order: Fold):
    out = given.left(seq=2)
    row = folded_in_any_order(given.joined(seq=1, notification_level="mentions"), out).row(
        "channel_members", "c1", "ana"
    )
    assert (row["is_active"], row["left_at"], row["notification_level"]) == (False, out.time, "mentions")


def test_an_unknown_workspace_membership_ends_nothing(given: Any, folded: Fold):
    assert folded(given.joined()).row("channel_members", "c1", "ana")["is_active"] is True


def test_a_removal_from_the_workspace_ends_the_channel_memberships_in_it(given: Any, folded_in_any_order: Fold):
    removal = given.removed(time="13:00")
    tables = folded_in_any_order(
        given.hired(time="09:00", seq=1),
        given.joined(channel_id="c1", time="10:00"),
        given.joined(channel_id="c2", time="10:00", workspace_id="w2"),
        removal,
    )
    row = tables.row("channel_members", "c1", "ana")
    assert (row["is_active"], row["left_at"]) == (False, removal.time)
    assert tables.row("channel_members", "c2", "ana")["is_active"] is True


def test_sequences_of_workspace_and_channel_membership_are_not_compared(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.joined(seq=1000, time="10:00"), given.removed(seq=1, time="11:00"))
    assert tables.row("channel_members", "c1", "ana")["is_active"] is False


def test_who_is_back_in_the_workspace_is_back_only_in_channels_joined_after_the_removal(
    given: Any, folded_in_any_order: Fold
):
    removal = given.removed(seq=2, time="11:00")
    tables = folded_in_any_order(
        given.hired(seq=1, time="09:00"),
        removal,
        given.hired(seq=3, time="12:00"),
        given.joined(channel_id="c1", time="10:00"),
        given.joined(channel_id="c2", time="13:00"),
        given.joined(channel_id="c3", time="11:00"),
    )
    active = {key[0]: (row["is_active"], row["left_at"]) for key, row in tables["channel_members"].items()}
    # c3 began at the very time of the removal: it must have begun strictly later.
    assert active == {"c1": (False, removal.time), "c2": (True, None), "c3": (False, removal.time)}


def test_while_removed_from_the_workspace_a_later_join_of_a_channel_is_not_active(
    given: Any, folded_in_any_order: Fold
):
    removal = given.removed(time="11:00")
    row = folded_in_any_order(removal, given.joined(time="12:00")).row("channel_members", "c1", "ana")
    assert (row["is_active"], row["left_at"]) == (False, removal.time)


def test_an_own_leave_keeps_its_time_before_all_other_endings(given: Any, folded_in_any_order: Fold):
    out = given.left(seq=2, time="14:00")
    row = folded_in_any_order(
        given.joined(seq=1, time="10:00"),
        out,
        given.removed(time="11:00"),
        given.erased(time="12:00"),
        given.workspace_deleted(time="13:00"),
    ).row("channel_members", "c1", "ana")
    assert (row["is_active"], row["left_at"]) == (False, out.time)


def test_endings_from_outside_give_their_time_in_order_removal_erasure_deletion(given: Any, folded_in_any_order: Fold):
    joined, removal = given.joined(time="10:00"), given.removed(time="15:00")
    erasure, deletion = given.erased(time="14:00"), given.workspace_deleted(time="13:00")
    for events, expected in (
        ((removal, erasure, deletion), removal),
        ((erasure, deletion), erasure),
        ((deletion,), deletion),
    ):
        row = folded_in_any_order(joined, *events).row("channel_members", "c1", "ana")
        assert (row["is_active"], row["left_at"]) == (False, expected.time)


def test_member_count_follows_endings_from_outside(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.channel(),
        given.joined("ana"),
        given.joined("bo"),
        given.joined("cy"),
        given.erased("bo"),
        given.removed("cy", time="23:00"),
    )
    assert tables.row("channels", "c1")["member_count"] == 1


# ── read positions ──
def position(tables: Any) -> tuple:
    row = tables.row("channel_members", "c1", "ana")
    return row["last_read_message_id"], row["last_read_at"]


def test_an_ordinary_read_only_raises_whatever_its_sequence(given: Any, folded_in_any_order: Fold, time: At):
    tables = folded_in_any_order(
        given.joined(),
        given.read("m2", "12:30", seq=1),
        given.read("m1", "12:10", seq=2),
        given.read("m0", "12:05", seq=3),
    )
    assert position(tables) == ("m2", time("12:30"))


def test_mark_unread_sets_the_position_and_makes_lower_reads_stale(given: Any, folded: Fold, time: At):
    tables = folded(
        given.joined(),
        given.read("m3", "12:30", seq=1),
        given.read("m1", "12:10", seq=3, mark_unread=True),
        given.read("m2", "12:20", seq=2),
    )
    assert position(tables) == ("m1", time("12:10"))


def test_reads_above_the_mark_raise_it_again(given: Any, folded: Fold, time: At):
    tables = folded(
        given.joined(),
        given.read("m1", "12:10", seq=3, mark_unread=True),
        given.read("m0", "12:00", seq=4),
        given.read("m2", "12:20", seq=5),
    )
    assert position(tables) == ("m2", time("12:20"))


def test_reads_above_the_mark_that_reach_less_far_leave_it(given: Any, folded: Fold, time: At):
    tables = folded(
        given.joined(), given.read("m1", "12:10", seq=3, mark_unread=True), given.read("m0", "12:00", seq=4)
    )
    assert position(tables) == ("m1", time("12:10"))


def test_a_lower_mark_than_the_newest_changes_nothing(given: Any, folded: Fold, time: At):
    tables = folded(
        given.joined(),
        given.read("m2", "12:20", seq=5, mark_unread=True),
        given.read("m1", "12:10", seq=4, mark_unread=True),
    )
    assert position(tables) == ("m2", time("12:20"))


def test_a_mark_that_comes_after_reads_above_it_leaves_the_position_open(given: Any, folded: Fold):
    row = folded(
        given.joined(), given.read("m2", "12:20", seq=5), given.read("m1", "12:10", seq=4, mark_unread=True)
    ).row("channel_members", "c1", "ana")
    assert "last_read_at" not in row
    assert "last_read_message_id" not in row


def test_of_reads_of_the_same_instant_the_newest_names_the_message(given: Any, folded_in_any_order: Fold, time: At):
    reads = [given.read("m2", "12:10", seq=2), given.read("m1", "12:10", seq=1)]
    assert position(folded_in_any_order(given.joined(), *reads)) == ("m2", time("12:10"))


@pytest.mark.parametrize(("seq", "names"), [(2, "m1"), (4, "m2")])
def test_a_read_of_the_marks_own_instant_counts_by_its_sequence(
    given: Any, folded: Fold, time: At, seq: int, names: str
):
    mark = given.read("m1", "12:10", seq=3, mark_unread=True)
    assert position(folded(given.joined(), mark, given.read("m2", "12:10", seq=seq))) == (names, time("12:10"))


def test_a_late_read_of_somebody_who_left_is_kept(given: Any, folded_in_any_order: Fold, time: At):
    tables = folded_in_any_order(given.joined(seq=1), given.left(seq=2), given.read("m1", "12:30"))
    assert position(tables) == ("m1", time("12:30"))
    assert tables.row("channel_members", "c1", "ana")["is_active"] is False


def test_a_reader_who_never_joined_may_have_a_row_that_is_not_active(given: Any, folded: Fold):
    row = folded(given.channel(), given.read("m1", "12:30")).row("channel_members", "c1", "ana")
    assert isinstance(row, FreeRow)
    assert row == {"is_active": False}


def test_the_position_names_the_message_as_given_even_if_it_is_an_alias(given: Any, folded: Fold):
    tables = folded(
        given.joined(),
        given.posted("m1", client_msg_id="x"),
        given.posted("m2", client_msg_id="x"),
        given.read("m2", "12:30"),
    )
    assert position(tables)[0] == "m2"
