"""Which workspaces should have their messages somewhere else."""

from collections.abc import Iterable
from typing import Final

from tailrace.consumers.search.reading import Database
from tailrace.settings import ElasticsearchSettings

MOVE: Final = "move"


def wanted_route(route: str, members: int, *, is_high_volume: bool, settings: ElasticsearchSettings) -> str:
    """Where a workspace belongs. Between the two limits it stays, so that it does not move with every member."""
    if is_high_volume:
        return "monthly"
    if members > settings.own_index_members:
        return "own"
    if route == "own" and members >= settings.own_index_members_low:
        return "own"
    return "shared"


async def wanted_moves(
    database: Database, workspaces: Iterable[str], settings: ElasticsearchSettings
) -> set[tuple[str, str]]:
    """Jobs for those of the workspaces that belong elsewhere than they are."""
    wanted = sorted(workspaces)
    if not wanted:
        return set()
    rows = await database.fetch("member_counts", wanted)
    return {
        (MOVE, row["workspace_id"])
        for row in rows
        if row["moving_to"] is None
        and wanted_route(row["route"], row["member_count"], is_high_volume=row["is_high_volume"], settings=settings)
        != row["route"]
    }
