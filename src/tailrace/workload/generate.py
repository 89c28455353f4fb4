"""From a profile to the records of a run."""

from collections.abc import Callable, Iterator
from itertools import islice

from tailrace.errors import UsageError
from tailrace.workload.actions import ACTIONS
from tailrace.workload.company import Company
from tailrace.workload.dice import Dice, Weighted
from tailrace.workload.directory import delete_workspace, erase_user
from tailrace.workload.faults import add_poison, send_twice, swap_neighbours
from tailrace.workload.founding import found
from tailrace.workload.late import happen_late
from tailrace.workload.profiles import Profile
from tailrace.workload.records import Generated, Summary
from tailrace.workload.schedule import Schedule
from tailrace.workload.writer import HOUR, Writer


def generate(profile: Profile, summary: Summary | None = None) -> Iterator[Generated]:
    """Yield the records of a run in the order of their publication; `summary` counts them as they are taken.

    The same profile gives the same bytes. Times rise, but for late events; the last is `days` after the start.
    Duplicates, wrong order and poison are drawn from dice of their own, so the events under them stay the same when
    these are switched on or off. Memory does not grow with `events`. Raises `UsageError` for an unknown action.
    """
    unknown = [name for name, _ in profile.mix if name not in ACTIONS]
    if unknown:
        raise UsageError(f"there is no action {unknown[0]}", fix=f"one of {', '.join(ACTIONS)}")
    records: Iterator[Generated] = islice(_events(profile), profile.events)
    if profile.swapped:
        records = swap_neighbours(records, profile.swapped, Dice(f"swapped/{profile.seed}"))
    if profile.duplicates:
        records = send_twice(records, profile.duplicates, Dice(f"duplicates/{profile.seed}"))
    if profile.poison:
        length = int(profile.events * (1 + profile.duplicates))
        records = add_poison(records, length, profile.poison, Dice(f"poison/{profile.seed}"))
    return records if summary is None else _counted(records, summary)


def _counted(records: Iterator[Generated], summary: Summary) -> Iterator[Generated]:
    for record in records:
        summary.add(record)
        yield record


def _events(profile: Profile) -> Iterator[Generated]:
    dice = Dice(f"events/{profile.seed}")
    writer = Writer(dice, profile.start_us - HOUR)
    c = Company(profile, dice, writer)
    for events in found(c):
        yield from events
    actions = Weighted([(ACTIONS[name], weight) for name, weight in profile.mix])
    span = (writer.count, profile.events)
    schedule = Schedule(profile.start_us, profile.days, span, c.workspaces)
    turns = _turning_points(profile, writer.count)
    while writer.count < profile.events:
        now = schedule.time_at(writer.count, dice.random())
        _catch_up(c, now)
        writer.advance(now)
        w = schedule.open.draw(dice)
        if profile.late and writer.late < profile.late * writer.count and dice.chance(0.5):
            happen_late(c, w)
        else:
            actions.draw(dice)(c, w)
        if turns and writer.count >= turns[-1][0]:
            turns.pop()[1](c)
        yield from writer.take()


def _catch_up(c: Company, now: int) -> None:
    """Let happen what was planned for the time up to now."""
    while (due := c.agenda.next_due(now)) is not None:
        at, call, args = due
        c.writer.advance(at)
        call(*args)


def _turning_points(profile: Profile, founded: int) -> list[tuple[int, Callable[[Company], None]]]:
    """After how many events somebody is erased or a workspace deleted; the last one first."""
    rest = profile.events - founded
    whole = [(erase_user, profile.erasures), (delete_workspace, profile.deletions)]
    turns = [
        (founded + int(rest * (0.55 + 0.4 * (index + 0.5) / count)), what)
        for what, count in whole
        for index in range(count)
    ]
    return sorted(turns, key=lambda turn: -turn[0])
