"""What the marks in Redis say about the caches."""

import pytest
from redis.crc import key_slot

from tailrace.consumers.redis.nodes import SLOTS, _owners
from tailrace.consumers.redis.state import MARKS, CacheState, Seen
from tailrace.consumers.redis.store import Store
from tailrace.projections.caches import Keys


@pytest.mark.parametrize(
    ("marks", "is_ready"),
    [
        (("ready:7:a,b",), True),
        (("ready:7:a,b", "ready:8:a,b"), True),
        (("ready:7:a,b", ""), False),
        (("ready:7:a,b", "filling:7:a,b"), False),
        (("ready:7:a,c",), False),
        (("doubted",), False),
        (("",), False),
    ],
)
def test_caches_are_complete_when_every_mark_says_so_of_these_servers(marks: tuple[str, ...], *, is_ready: bool):
    assert Seen("a,b", marks).is_ready is is_ready


def test_a_single_server_has_one_mark_under_the_name_it_always_had():
    state = CacheState(Store("redis://127.0.0.1:1/0"), Keys("p:"))
    assert state.names == ("p:tailrace:state",)


def test_marks_are_spread_evenly_over_the_slots_of_a_cluster():
    state = CacheState(Store("redis://127.0.0.1:1/0", cluster=True), Keys("p:", cluster=True))
    slots = [key_slot(name.encode()) for name in state.names]
    assert slots == list(range(0, SLOTS, SLOTS // MARKS))


def test_a_server_that_does_not_know_its_name_is_the_one_that_was_asked():
    told = [[0, 1, [b"", 7000, b"id"], [b"replica", 7001, b"id"]], [2, SLOTS - 2, [b"h", 7002, b"id"]]]
    owners = _owners(told, ("seed", 1))
    assert owners[:3] == [("seed", 7000), ("seed", 7000), ("h", 7002)]
    assert owners[-1] is None
