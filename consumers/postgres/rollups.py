"""Write a batch's increments of the rollups: last in the transaction, since these rows are the ones others wait for."""

from datetime import UTC, datetime, time, timedelta
from operator import itemgetter

from tailrace.consumers.postgres.session import Session
from tailrace.projections.rollups import HourKey, Rollups, newest

_MICROSECOND = timedelta(microseconds=1)
_key = itemgetter(0)


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
    hours = sorted(rollups.hours.items(), key=_key)
    users: list[str] = []
    places: list[int] = []
    for place, (_, hour) in enumerate(hours, 1):
        users += sorted(hour.users)
        places += [place] * len(hour.users)
    await session.fetch(
        "add_to_hours",
        [key[0] for key, _ in hours],
        [key[1] for key, _ in hours],
        [_start(key) for key, _ in hours],
        [hour.messages for _, hour in hours],
        [hour.length for _, hour in hours],
        [hour.revised_at for _, hour in hours],
        users,
        places,
    )


def _start(key: HourKey) -> datetime:
    return datetime.combine(key[2], time(key[3]), UTC)


async def _users(session: Session, rollups: Rollups) -> None:
    rows = [
        (*key, u.messages, u.reactions, u.uploads, u.time_spent // _MICROSECOND, revised_at)
        for key, u in sorted(rollups.user_days.items(), key=_key)
        if (revised_at := u.revised_at) is not None
    ]
    if rows:
        await session.fetch("add_to_users", *zip(*rows, strict=True))


async def _days(session: Session, rollups: Rollups) -> None:
    days = rollups.days()
    members = sorted((*key, user_id) for key, day in days.items() for user_id in day.active)
    new: dict[tuple[str, object], int] = {}
    if members:
        for record in await session.fetch("add_day_members", *zip(*members, strict=True)):
            new[str(record["workspace_id"]), record["date"]] = record["users"]
    rows = []
    for key, day in sorted(days.items(), key=_key):
        users = new.get(key, 0)
        revised_at = newest(day.revised_at, day.active_at if users else None)
        if revised_at is not None:
            rows.append((*key, users, day.messages, day.reactions, day.uploads, revised_at))
    if rows:
        await session.fetch("add_to_days", *zip(*rows, strict=True))
