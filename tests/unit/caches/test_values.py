"""Keys, stamps and the folding of signals."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

from tailrace.projections.caches import (
    Keys,
    Living,
    fold_living,
    members_value,
    microseconds,
    minute_of,
    suffix_counts,
    unread_behind,
    version_stamp,
)
from tailrace.schemas.event import Event

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def signal(kind: str, sequence: int, *, minutes: float = 0, **data: object) -> Event:
    names = {"user_id": "u", "workspace_id": "w", "device_type": "web", "timezone": None, "custom_status": None}
    names |= {"session_id": "s", "ip_address": "i", "user_agent": "a", "permissions": []}
    return Event(
        f"collab.{kind}", f"e{sequence}", sequence, NOW + timedelta(minutes=minutes), names | data, "/", "s", 1,
        None, None, None, "signals",
    )  # fmt: skip


def test_only_in_a_cluster_are_there_braces():
    assert Keys("p:").pair("presence", "u", "w") == ("p:presence:u:w", "p:presence_v:u:w")
    assert Keys("p:", cluster=True).pair("presence", "u", "w") == ("p:presence:{u}:w", "p:presence_v:{u}:w")


def test_stamps_compare_as_text_where_doubles_would_not():
    assert version_stamp(1, 2**53) < version_stamp(1, 2**53 + 1) < version_stamp(2, 0)


def test_no_members_are_no_value():
    assert members_value([], NOW) == b""


def test_times_compare_as_text():
    assert microseconds(None) < microseconds(NOW) < microseconds(NOW + timedelta(microseconds=1))
    assert minute_of(datetime(1970, 1, 1, 0, 1, 59, 999999, tzinfo=UTC)) == 1


def test_counts_after_each_base():
    bases = [NOW, NOW + timedelta(minutes=1)]

    assert suffix_counts(bases, [(1, "ana", 2), (2, "ana", 1), (2, "bo", 4)]) == (
        [7, 5, 0],
        {"ana": [3, 1, 0], "bo": [4, 4, 0]},
    )


def test_unread_are_those_behind_a_members_place_that_are_not_its_own():
    members = ["ana", "bo", "cy", "never"]
    buckets = [(1, "cy", 1), (2, "ana", 2), (3, "bo", 4), (3, "cy", 8), (3, "guest", 16)]

    assert unread_behind(members, *zip(*buckets, strict=True)) == [29, 26, 20, 0]
    assert unread_behind(members, (), (), ()) == [0, 0, 0, 0]


def folded(events: tuple[Event, ...]) -> list[Living]:
    return fold_living(events, NOW)


def test_a_session_in_any_order_is_that_of_the_highest_sequence_and_lives_from_its_last_sign():
    events = [signal("session.started", 1, minutes=-5), signal("session.started", 2, minutes=-30)]
    for order in permutations(events):
        (row,) = folded(order)
        assert (row.sequence, row.began_at) == (2, NOW - timedelta(minutes=30))
        assert row.last_at == NOW - timedelta(minutes=5)
        assert row.expires_at == NOW + timedelta(hours=24, minutes=-5)


def test_an_end_counts_whatever_its_sequence():
    events = [signal("session.started", 9), signal("session.ended", 1, minutes=-60)]
    assert all(folded(order)[0].is_ended for order in permutations(events))


def test_a_presence_ends_with_the_event_that_holds_it():
    events = [signal("presence.changed", 2, minutes=-4, status="a"), signal("presence.changed", 1, status="b")]
    for order in permutations(events):
        (row,) = folded(order)
        assert (row.value or {})["status"] == "a"
        assert row.expires_at == NOW + timedelta(minutes=1)


def test_signals_of_long_ago_are_left_out():
    assert folded((signal("presence.changed", 1, minutes=-60 * 25, status="a"),)) == []
