"""Chance is fair enough, and its ids are UUIDs."""

from collections import Counter
from uuid import UUID

import pytest

from tailrace.workload.agenda import AGENDA_MAX, Agenda
from tailrace.workload.dice import Dice, Weighted


def test_zipf_makes_the_second_half_as_likely_as_the_first():
    dice = Dice("test")
    drawn = Counter(dice.zipf(10) for _ in range(20_000))

    assert set(drawn) == set(range(10))
    assert drawn[0] / drawn[1] == pytest.approx(2, rel=0.1)
    assert drawn[0] / drawn[4] == pytest.approx(5, rel=0.15)


def test_weights_are_kept():
    dice = Dice("test")
    coin = Weighted([("heads", 3.0), ("tails", 1.0), ("edge", 0.0)])
    drawn = Counter(coin.draw(dice) for _ in range(10_000))

    assert drawn["heads"] / drawn["tails"] == pytest.approx(3, rel=0.1)
    assert not drawn["edge"]


def test_a_uuid7_holds_its_millisecond():
    made = UUID(Dice("test").uuid7(1_792_483_200_123))

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == 1_792_483_200_123


def test_a_uuid4_is_one():
    made = UUID(Dice("test").uuid4())

    assert (made.version, made.variant) == (4, "specified in RFC 4122")


def test_a_sample_has_no_position_twice():
    assert sorted(Dice("test").sample(range(50), 80)) == list(range(50))


def test_the_agenda_gives_out_what_is_due_in_order_of_time():
    agenda = Agenda()
    for at in (30, 10, 20):
        agenda.add(at, print, at)

    assert [agenda.next_due(25), agenda.next_due(25), agenda.next_due(25)] == [
        (10, print, (10,)),
        (20, print, (20,)),
        None,
    ]


def test_the_agenda_is_bounded():
    agenda = Agenda()
    for at in range(AGENDA_MAX + 5):
        agenda.add(at, print)

    kept = 0
    while agenda.next_due(AGENDA_MAX * 2):
        kept += 1
    assert kept == AGENDA_MAX
