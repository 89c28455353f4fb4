"""The difference between two lists, applied as Redis applies it, gives the newer one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tailrace.consumers.redis.lists import Held, difference

WINDOW = 6


def held(stamp: str, messages: list[tuple[int, int]]) -> Held:
    """A list of (message, version), newest first."""
    shown = messages[:WINDOW]
    return Held(stamp, [f"{number:036d}.{version}" for number, version in shown], [b"%d.%d" % one for one in shown])


def applied(items: list[bytes], arguments: list[Any]) -> list[bytes]:
    """What the function in Redis does."""
    _, _, length, limit, edits, *rest = arguments
    assert length == len(items)
    found = list(items)
    for _ in range(edits):
        place, item, *rest = rest
        found[place] = item
    found = [item for item in found if item != b""]
    for item in rest:
        found.insert(0, item)
    return found[:limit]


channels = st.dictionaries(st.integers(0, 12), st.integers(0, 1), max_size=12)


@given(before=channels, after=channels)
def test_whatever_changed(before: dict[int, int], after: dict[int, int]):
    old, new = (held(stamp, sorted(of.items(), reverse=True)) for stamp, of in (("1", before), ("2", after)))
    arguments = difference(old, new)

    if arguments is not None:
        assert applied(list(old.items), arguments) == list(new.items)


@given(before=st.integers(2, 8), posted=st.integers(1, 4), edited=st.integers(0, 1))
def test_posts_and_edits_never_need_the_whole_list(before: int, posted: int, edited: int):
    stored = [(number, 0) for number in range(before, 0, -1)]
    changed = [(number, edited if number == before - 1 else 0) for number in range(before + posted, 0, -1)]

    assert difference(held("1", stored), held("2", changed)) is not None


def test_what_enters_at_the_end_needs_the_whole_list():
    old = held("1", [(number, 0) for number in range(9, 0, -1)])
    new = held("2", [(number, 0) for number in range(9, 0, -1) if number != 8])

    assert difference(old, new) is None
