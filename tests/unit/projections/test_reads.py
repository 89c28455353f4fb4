"""Read positions (ruling 3), folded from reads in every order that the ruling promises to be exact."""

import itertools
from datetime import UTC, datetime, timedelta

from tailrace.projections.channels import CHANNEL_MEMBERS
from tailrace.schemas.event import Event

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def read(message_id: str, minutes: int, sequence: int, *, mark_unread: bool = False) -> Event:
    data = {"channel_id": "c1", "workspace_id": "w1", "user_id": "ana", "last_read_message_id": message_id}
    data |= {"last_read_at": NOON + timedelta(minutes=minutes), "mark_unread": mark_unread}
    return Event("collab.channel.read", f"e{sequence}", sequence, NOON, data, "/tests", "s", 1, None, None, None)


def position(*events: Event) -> tuple[datetime, str]:
    row = CHANNEL_MEMBERS.new_row(("c1", "ana"))
    for event in events:
        CHANNEL_MEMBERS.fold(row, event)
    return row["last_read_at"], row["last_read_message_id"]


def test_a_read_below_the_mark_takes_nothing_from_those_above_it():
    mark = read("m1", 10, 5, mark_unread=True)
    above, below = [read("m4", 40, 7), read("m2", 20, 9)], read("m9", 50, 3)

    for order in itertools.permutations([*above, below]):
        assert position(mark, *order) == (NOON + timedelta(minutes=40), "m4")


def test_of_reads_of_one_instant_the_newest_names_the_message():
    mark, later, last = read("m1", 10, 5, mark_unread=True), read("m2", 10, 6), read("m3", 10, 7)

    for order in itertools.permutations([mark, later, last]):
        assert position(*order) == (NOON + timedelta(minutes=10), "m3")
