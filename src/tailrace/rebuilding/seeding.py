"""What a version cannot get from the log any more, because its topic is not kept for ever, is copied from the live one.

Session facts outlive the signals that they were made of (ruling 62), notifications outlive their topic. What is still
in the log is applied after it as always: the same event again changes nothing (Rule R).
"""

import asyncio
from collections.abc import Collection
from typing import Final

import asyncpg
import structlog

from tailrace.addresses import resolve
from tailrace.consumers.postgres.rollups import write_rollups
from tailrace.consumers.postgres.session import Session, Statements
from tailrace.projections.rollups import Rollups
from tailrace.rebuilding.shadow import shadow_settings
from tailrace.settings import Settings
from tailrace.sql.catalog import quoted, render, schema_names

log = structlog.get_logger()

COPIED: Final = {
    "signals": ("collab.sessions", "runtime.last_seen"),
    "notifications": ("collab.notifications",),
}
"""Tables that are made of a topic which is not kept for ever."""

SESSIONS_AT_ONCE: Final = 5_000


def copy_lost(settings: Settings, version: int, lost: Collection[str]) -> int:
    """Copy what was made of these topics (without prefix) into a version that nothing was applied to yet.

    Returns the rows copied; 0 where that was done before. Raises nothing for topics that are kept for ever: of them
    nothing can be copied.
    """
    if not (wanted := [topic for topic in COPIED if topic in lost]):
        return 0
    copied = asyncio.run(_copy(settings, shadow_settings(settings, version), wanted))
    log.info("lost_events_copied", version=version, rows=copied)
    return copied


async def _copy(settings: Settings, shadow: Settings, topics: Collection[str]) -> int:
    connection = await asyncpg.connect(resolve(settings).postgres, timeout=settings.postgres.connect_timeout_s)
    live, beside = schema_names(settings.postgres), schema_names(shadow.postgres)
    copied = 0
    try:
        async with connection.transaction():
            if await connection.fetchval(render("SELECT EXISTS (SELECT FROM runtime.progress)", beside)):
                return 0
            for topic in topics:
                for table in COPIED[topic]:
                    plain, _, name = table.partition(".")
                    source, target = (f"{quoted(names[plain])}.{quoted(name)}" for names in (live, beside))
                    done = await connection.execute(
                        f"INSERT INTO {target} SELECT * FROM {source} ON CONFLICT DO NOTHING"  # noqa: S608 - names are ours
                    )
                    copied += int(done.rpartition(" ")[2])
            if "signals" in topics and copied:
                await _count_sessions(Session(connection, Statements(shadow.postgres)), beside["collab"])
    finally:
        await connection.close(timeout=5)
    return copied


async def _count_sessions(session: Session, schema: str) -> None:
    """Time spent follows from a session's change; these did not change, they are there."""
    rollups, counted = Rollups(), 0
    rows = session.connection.cursor(
        f"SELECT workspace_id, user_id, started_at, ended_at FROM {quoted(schema)}.sessions"  # noqa: S608 - our name
        " WHERE workspace_id IS NOT NULL AND started_at IS NOT NULL AND ended_at IS NOT NULL"
    )
    async for row in rows:
        rollups.session(None, dict(row), row["ended_at"])
        counted += 1
        if counted % SESSIONS_AT_ONCE == 0:
            await write_rollups(session, rollups)
            rollups = Rollups()
    await write_rollups(session, rollups)
