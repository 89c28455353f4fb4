"""Calls as commands, and commands as bytes."""

import hiredis

from tailrace.consumers.redis.calls import GROUP_ARGUMENTS_MAX, GROUP_CALLS_MAX, Call, command, groups, packed


def put(number: int, arguments: int = 1) -> Call:
    return "put", (f"k{number}", f"g{number}"), [number] * arguments


def test_neighbours_of_one_function_are_one_group():
    drop: Call = ("drop", ("k", "g"), ())

    assert list(groups([put(1), put(2), drop, put(3)])) == [[put(1), put(2)], [drop], [put(3)]]


def test_a_group_is_bounded_by_calls_and_by_arguments():
    small = [put(number) for number in range(2 * GROUP_CALLS_MAX + 1)]
    large = [put(number, GROUP_ARGUMENTS_MAX // 2) for number in range(3)]
    huge = [put(1, 5 * GROUP_ARGUMENTS_MAX), put(2)]

    assert [len(group) for group in groups(small)] == [GROUP_CALLS_MAX, GROUP_CALLS_MAX, 1]
    assert [len(group) for group in groups(large)] == [2, 1]
    assert [len(group) for group in groups(huge)] == [1, 1]


def test_a_group_has_no_keys_twice():
    assert list(groups([put(1), put(2), put(1, 2)])) == [[put(1)], [put(2)], [put(1, 2)]]


def test_groups_hold_every_call_in_its_order():
    sizes = [1, 400, 700, 2, 3, *[1] * GROUP_CALLS_MAX, GROUP_ARGUMENTS_MAX + 1, 5]
    calls = [put(number, size) for number, size in enumerate(sizes)]
    made = list(groups(iter(calls)))

    assert [call for group in made for call in group] == calls
    assert all(
        len(group) == 1 or sum(len(arguments) for *_, arguments in group) <= GROUP_ARGUMENTS_MAX for group in made
    )


def test_one_call_goes_alone_and_several_say_how_long_each_is():
    assert command([put(1)], "lib") == ["FCALL", "lib_put", 2, "k1", "g1", 1]
    assert command([put(1), put(2, 2)], "lib") == [
        "FCALL", "lib_put_each", 4, "k1", "g1", "k2", "g2", 1, 1, 2, 2, 2,
    ]  # fmt: skip


def test_a_server_reads_what_was_packed():
    parser = hiredis.Reader()
    parser.feed(packed([("SET", "kä", b"\x00\r\n", -7), ("PING",)]))

    assert parser.gets() == [b"SET", "kä".encode(), b"\x00\r\n", b"-7"]
    assert parser.gets() == [b"PING"]
