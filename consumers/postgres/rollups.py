"""Write a batch's increments of the rollups: last in the transaction, since these rows are the ones others wait for."""

from datetime import timedelta
from typing import Any

from tailrace.consumers.postgres.session import Session
from tailrace.projections.rollups import Day, Rollups, newest

_MICROSECOND = timedelta(microseconds=1)


async def write_rollups(session: Session, rollups: Rollups) -> None:
    """Insert members, count the new ones, and add everything up, each table in the order of its keys.

    Two workers meet on a workspace's day; one order of rows and of tables keeps them from deadlocking.
    """
    await _hours(session, rollups)
    await _users(session, rollups)
    await _days(session, rollups)


async def _hours(session: Session, rollups: Rollups) -> None:
    if not rollups.hours:
        return
    members = sorted(rollups.hour_members)
    for record in await session.fetch("add_hour_members", *zip(*members, strict=True)):
        rollups.hours[str(record["workspace_id"]), str(record["channel_id"]), record["hour"]].users += 1
    rows = [(*key, h.messages, h.users, h.length, h.revised_at) for key, h in sorted(rollups.hours.items(), key=_key)]
    await session.fetch("add_to_hours", *zip(*rows, strict=True))


async def _users(session: Session, rollups: Rollups) -> None:
    rows = [
        (*key, u.messages, u.reactions, u.uploads, u.time_spent // _MICROSECOND, u.revised_at)
        for key, u in sorted(rollups.user_days.items(), key=_key)
    ]
    if rows:
        await session.fetch("add_to_users", *zip(*rows, strict=True))


async def _days(session: Session, rollups: Rollups) -> None:
    members = sorted(rollups.day_members)
    revised = rollups.day_members
    if members:
        by_day: dict[Any, Any] = {}
        for key in members:
            by_day[key[:2]] = newest(by_day.get(key[:2]), revised[key])
        for record in await session.fetch("add_day_members", *zip(*members, strict=True)):
            day_key = (str(record["workspace_id"]), record["date"])
            day = rollups.days.setdefault(day_key, Day())
            day.users += 1
            day.revised_at = newest(day.revised_at, by_day[day_key])
    rows = [
        (*key, d.users, d.messages, d.reactions, d.uploads, d.revised_at)
        for key, d in sorted(rollups.days.items(), key=_key)
    ]
    if rows:
        await session.fetch("add_to_days", *zip(*rows, strict=True))


def _key(item: tuple[Any, Any]) -> Any:
    return item[0]
