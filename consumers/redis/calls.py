"""Calls of our functions as commands, and commands as bytes.

Neighbouring calls of one function are one command on a server that has every key: measured, half of a call's time in
Redis and two thirds of it here are its own command and its own answer. A command stays short (well under a
millisecond), for nobody else is served meanwhile. In a cluster each call goes alone, as its keys alone share a slot.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Final

import hiredis

Argument = str | bytes | int
Call = tuple[str, tuple[str, ...] | tuple[bytes, ...], Sequence[Argument]]
"""(function, keys, arguments); the first key decides the slot."""

GROUP_CALLS_MAX: Final = 50
GROUP_ARGUMENTS_MAX: Final = 1_000
"""Arguments of the calls that are one command, so that many large ones are not."""


_FUNCTION: Final = itemgetter(0)
_KEYS: Final = itemgetter(1)
_ARGUMENTS: Final = itemgetter(2)


def groups(calls: Iterable[Call]) -> Iterator[list[Call]]:
    """Neighbouring calls of one function, in their order, none of them about the same keys as another."""
    for _, those in groupby(calls, _FUNCTION):
        while group := list(islice(those, GROUP_CALLS_MAX)):
            if len(set(map(_KEYS, group))) < len(group):
                yield from ([call] for call in group)
            elif sum(map(len, map(_ARGUMENTS, group))) <= GROUP_ARGUMENTS_MAX:
                yield group
            else:
                yield from _by_arguments(group)


def _by_arguments(calls: Iterable[Call]) -> Iterator[list[Call]]:
    group: list[Call] = []
    arguments = 0
    for call in calls:
        arguments += len(call[2])
        if group and arguments > GROUP_ARGUMENTS_MAX:
            yield group
            group, arguments = [], len(call[2])
        group.append(call)
    yield group


def command(group: Sequence[Call], library: str) -> list[Argument]:
    """One command for all calls of a group; its answer is a list where there is more than one."""
    function, keys, arguments = group[0]
    if len(group) == 1:
        return ["FCALL", f"{library}_{function}", len(keys), *keys, *arguments]
    made: list[Argument] = ["FCALL", f"{library}_{function}_each", len(group) * len(keys)]
    made += chain.from_iterable(map(_KEYS, group))
    for _, _, each in group:
        made.append(len(each))
        made += each
    return made


def packed(commands: Iterable[Sequence[Argument]]) -> bytes:
    """Commands as they go over the wire; redis-py's own way of it takes many times as long."""
    return b"".join([hiredis.pack_command(tuple(one)) for one in commands])  # type: ignore[arg-type]  # stub
