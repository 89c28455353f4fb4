"""Mends caches and documents after the tables are right: exactly what the fold of the log says is wrong."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import sql

from tailrace.archiving.archive import open_archive
from tailrace.mending.documents import mend_documents
from tailrace.mending.scope import Scope
from tailrace.operations.caches import repair as repair_keys
from tailrace.operations.database import connection
from tailrace.settings import Settings
from tailrace.verification.compare import Difference
from tailrace.verification.compare_redis import IDS, PREFIX
from tailrace.verification.moments import moment_now
from tailrace.verification.scope import Scope as Compared
from tailrace.verification.tables import REDIS, SEARCH
from tailrace.verification.verify import Verification, verify

ROUNDS_MAX: Final = 3
LIMIT: Final = 1_000_000
SHORT_LIVED: Final = frozenset({"redis.typing", "redis.message_rate"})
"""They end by themselves within a minute."""


@dataclass(slots=True)
class Followed:
    """Keys and documents by comparison that were written anew, and differences that are left."""

    written: dict[str, int] = field(default_factory=dict)
    left: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"written": self.written, "left": self.left}


def running(settings: Settings, stores: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the comparisons whose store has a worker, or had one."""
    known = moment_now(settings).by_projection
    groups = {"redis": REDIS, "search": SEARCH}
    return tuple(name for name in stores if any(name in names for group, names in groups.items() if group in known))


def mend_followers(
    settings: Settings,
    scope: Scope,
    touched: Mapping[str, list[str]] | None,
    *,
    dry_run: bool = False,
    pulse: Callable[[], None] = lambda: None,
) -> Followed:
    """Compare the keys and documents in the scope, write those that differ anew, and compare again.

    Tables must be right: keys and documents are made of them. Raises what `verify` raises.
    """
    names = running(settings, scope.stores)
    done = Followed()
    if not names:
        return done
    for _ in range(ROUNDS_MAX):
        wrong = _wrong(_compare(settings, names, scope), touched)
        done.left = sum(len(those) for those in wrong.values())
        if dry_run or not done.left:
            if dry_run:
                done.written = {name: len(those) for name, those in wrong.items() if those}
            return done
        pulse()
        for name, those in wrong.items():
            if those:
                done.written[name] = max(done.written.get(name, 0), len(those))
        _write(settings, wrong)
        pulse()
    done.left = sum(len(those) for those in _wrong(_compare(settings, names, scope), touched).values())
    return done


def _compare(settings: Settings, names: tuple[str, ...], scope: Scope) -> Verification:
    compared = Compared(workspace=scope.workspace, channel=scope.channel, key=scope.message)
    return verify(settings, names, limit=LIMIT, scope=compared, archive=open_archive(settings))


def _wrong(found: Verification, touched: Mapping[str, list[str]] | None) -> dict[str, list[Difference]]:
    ids = None if touched is None else {one for those in touched.values() for one in those}
    return {
        name: [one for one in report.differences if ids is None or any(str(part) in ids for part in one.key.values())]
        for name, report in found.reports.items()
        if name not in SHORT_LIVED
    }


def _write(settings: Settings, wrong: Mapping[str, list[Difference]]) -> None:
    keys = [
        (name.removeprefix(PREFIX), tuple(str(one.key[part]) for part in IDS[name.removeprefix(PREFIX)]))
        for name, those in wrong.items()
        if name in REDIS
        for one in those
        if one.key.keys() == set(IDS[name.removeprefix(PREFIX)])
    ]
    if keys:
        asyncio.run(repair_keys(settings, keys))
    documents = {
        name.removeprefix("search."): {":".join(map(str, one.key.values())) for one in those}
        for name, those in wrong.items()
        if name in SEARCH
    }
    if any(documents.values()):
        asyncio.run(mend_documents(settings, documents))


def follow_rows(settings: Settings, job_id: str) -> Followed:
    """Write the keys and documents anew that are made of the rows which an undone job names, as they are now."""
    known = moment_now(settings).by_projection
    with connection(settings) as conn:
        rows = conn.execute(
            sql.SQL(
                "SELECT DISTINCT relation, side ->> 'channel_id', side ->> 'message_id', side ->> 'file_id',"
                " side ->> 'workspace_id', side ->> 'user_id' FROM {} r"
                " CROSS JOIN LATERAL (VALUES (r.before), (r.after)) AS b (side)"
                " WHERE r.job_id = %s AND r.state = 'undone' AND side IS NOT NULL"
            ).format(sql.Identifier(settings.postgres.schema_runtime, "replay_rows")),
            [job_id],
        ).fetchall()
    channels = {channel for _, channel, *_ in rows if channel}
    documents = {
        "messages": {message for _, _, message, *_ in rows if message},
        "files": {file for _, _, _, file, *_ in rows if file},
        "users": {f"{workspace}:{user}" for name, *_, workspace, user in rows if name == "collab.workspace_members"},
    }
    done = Followed()
    if channels and "redis" in known:
        keys = [(family, (channel,)) for channel in channels for family in ("recent_messages", "channel_members")]
        done.written["redis"] = asyncio.run(repair_keys(settings, keys))
    if any(documents.values()) and "search" in known:
        done.written["search"] = asyncio.run(mend_documents(settings, documents))
    return done
