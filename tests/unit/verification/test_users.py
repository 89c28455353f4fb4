"""Users: profile, status, preferences, last login are registers of their own; erasure wins over all (9-12, 31-33)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

Fold = Callable[..., Any]
At = Callable[[str], datetime]


def test_the_profile_comes_from_the_highest_sequence_and_created_at_from_the_registration(
    given: Any, folded_in_any_order: Fold
):
    registered = given.user(seq=1)
    renamed = given.user("user.updated", seq=3, display_name="Ana Maria")
    stale = given.user("user.updated", seq=2, display_name="Anna")
    row = folded_in_any_order(registered, renamed, stale).row("users", "ana")
    assert (row["display_name"], row["created_at"]) == ("Ana Maria", registered.time)


def test_an_update_carries_the_whole_register(given: Any, folded: Fold):
    row = folded(given.user(bio="painter"), given.user("user.updated", bio=None)).row("users", "ana")
    assert row["bio"] is None


def test_a_stale_registration_still_gives_created_at(given: Any, folded_in_any_order: Fold):
    updated = given.user("user.updated", seq=5, display_name="New")
    registered = given.user(seq=1, display_name="Old")
    row = folded_in_any_order(updated, registered).row("users", "ana")
    assert (row["display_name"], row["created_at"]) == ("New", registered.time)


def test_of_two_registrations_the_lower_sequence_gives_created_at(given: Any, folded_in_any_order: Fold):
    second = given.user(seq=4)
    first = given.user(seq=2)
    assert folded_in_any_order(second, first).row("users", "ana")["created_at"] == first.time


def test_an_update_below_the_registration_does_not_give_created_at(given: Any, folded_in_any_order: Fold):
    updated, registered = given.user("user.updated", seq=1), given.user(seq=2)
    assert folded_in_any_order(updated, registered).row("users", "ana")["created_at"] == registered.time


def test_equal_sequences_are_broken_by_the_greater_event_id(given: Any, folded_in_any_order: Fold):
    greater = given.user(seq=1, id="b", display_name="B")
    smaller = given.user(seq=1, id="a", display_name="A")
    assert folded_in_any_order(greater, smaller).row("users", "ana")["display_name"] == "B"


def test_status_is_active_until_a_status_event_says_otherwise(given: Any, folded: Fold):
    assert folded(given.user()).row("users", "ana")["status"] == "active"
    assert folded(given.user(), given.status("suspended")).row("users", "ana")["status"] == "suspended"


def test_a_status_before_the_profile_makes_a_row_without_a_profile(given: Any, folded: Fold):
    row = folded(given.status("suspended")).row("users", "ana")
    assert (row["status"], row["email"], row["display_name"], row["created_at"]) == ("suspended", None, None, None)


def test_registers_of_one_user_do_not_compare_their_sequences(given: Any, folded_in_any_order: Fold):
    row = folded_in_any_order(
        given.user(seq=9), given.status("suspended", seq=1), given.preferences({"a": 1}, seq=2), given.logged_in(seq=3)
    ).row("users", "ana")
    assert (row["status"], row["notification_settings"]) == ("suspended", {"a": 1})


def test_last_login_is_that_of_the_highest_sequence_even_if_it_is_earlier(given: Any, folded_in_any_order: Fold):
    login = given.logged_in(seq=7, time="10:00")
    stale = given.logged_in(seq=6, time="11:00")
    assert folded_in_any_order(login, stale).row("users", "ana")["last_login_at"] == login.time


def test_updated_at_is_the_newest_time_among_the_events_that_hold_a_register(
    given: Any, folded_in_any_order: Fold, time: At
):
    row = folded_in_any_order(
        given.user(seq=1, time="10:00"),
        given.user("user.updated", seq=3, time="10:05"),
        given.user("user.updated", seq=2, time="10:30"),
        given.logged_in(seq=4, time="10:10"),
    ).row("users", "ana")
    assert row["updated_at"] == time("10:10")


def test_erasure_empties_the_profile_and_keeps_created_at(given: Any, folded_in_any_order: Fold):
    registered = given.user(seq=1)
    erasure = given.erased(seq=4, time="20:00")
    row = folded_in_any_order(registered, given.preferences({"a": 1}, seq=2), given.logged_in(seq=3), erasure).row(
        "users", "ana"
    )
    kept = {name: value for name, value in row.items() if value is not None}
    assert kept == {
        "display_name": "Deleted user",
        "status": "deleted",
        "created_at": registered.time,
        "updated_at": erasure.time,
    }


def test_erasure_wins_over_later_profiles_and_statuses(given: Any, folded_in_any_order: Fold):
    row = folded_in_any_order(given.erased(seq=1), given.user(seq=2), given.status("active", seq=3)).row("users", "ana")
    assert (row["display_name"], row["email"], row["status"]) == ("Deleted user", None, "deleted")


def test_an_erasure_of_an_unknown_user_makes_the_row(given: Any, folded: Fold):
    assert folded(given.erased()).row("users", "ana")["display_name"] == "Deleted user"


def test_two_users_swap_their_names_in_any_order(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.user(seq=1, username="ana"),
        given.user(user_id="bo", seq=1, username="bo"),
        given.user("user.updated", seq=2, username="bo"),
        given.user("user.updated", user_id="bo", seq=2, username="ana"),
    )
    assert {key: row["username"] for key, row in tables["users"].items()} == {("ana",): "bo", ("bo",): "ana"}


def test_what_a_user_does_elsewhere_makes_no_user(given: Any, folded: Fold):
    tables = folded(given.posted(), given.hired(), given.joined(), given.started())
    assert tables["users"] == {}
