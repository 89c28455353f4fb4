import random
from uuid import RFC_4122

from hypothesis import given
from hypothesis import strategies as st

from tailrace.producer.ids import EventIds

NOON_US = 1_795_262_400_000_000


@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=200), st.randoms(use_true_random=False))
def test_ids_rise_strictly_whatever_the_wall_clock_does(offsets: list[int], dice: random.Random):
    readings = iter(offsets)
    ids = EventIds(now_us=lambda: NOON_US + next(readings), random_bits=dice.getrandbits)

    made = [ids.next() for _ in offsets]

    assert made == sorted(set(made))
    assert [str(id_) for id_ in made] == sorted(str(id_) for id_ in made)


@given(st.integers(0, 2**48 * 1_000 - 1), st.randoms(use_true_random=False))
def test_an_id_is_a_uuid_of_version_7_with_its_millisecond_in_front(now_us: int, dice: random.Random):
    id_ = EventIds(now_us=lambda: now_us, random_bits=dice.getrandbits).next()

    assert id_.version == 7
    assert id_.variant == RFC_4122
    assert id_.int >> 80 == now_us // 1_000


def test_a_millisecond_that_is_used_up_borrows_the_next_one():
    spent = EventIds(now_us=lambda: NOON_US, random_bits=lambda bits: 2 ** (74 if bits == 73 else bits) - 1)
    assert (spent.next().int >> 80) + 1 == spent.next().int >> 80


def test_two_producers_in_the_same_millisecond_make_different_ids():
    made = {EventIds(now_us=lambda: NOON_US, random_bits=random.Random(seed).getrandbits).next() for seed in range(100)}

    assert len(made) == 100
