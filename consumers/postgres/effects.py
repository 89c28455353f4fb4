"""What a change of one entity means for the rows of others: memberships, counts, erasure, activity."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tailrace.consumers.postgres import entities, files
from tailrace.consumers.postgres.messages import MessageWork, recount_roots
from tailrace.consumers.postgres.session import Session, to_json
from tailrace.projections.channels import CHANNEL_MEMBERS, CHANNELS
from tailrace.projections.directory import INTEGRATIONS, INVITATIONS, USERS, WORKSPACE_MEMBERS, WORKSPACES
from tailrace.projections.entity import Entity, Key, by_key, fold_all
from tailrace.projections.notifications import NOTIFICATIONS
from tailrace.projections.registers import Row
from tailrace.projections.sessions import SESSIONS, seen_at
from tailrace.schemas.event import Event

PLAIN_ENTITIES: tuple[Entity, ...] = (
    USERS, WORKSPACES, WORKSPACE_MEMBERS, INVITATIONS, INTEGRATIONS, CHANNELS, CHANNEL_MEMBERS, SESSIONS, NOTIFICATIONS,
)  # fmt: skip
"""Entities that wait for nothing, in the order in which their tables are locked."""

Pairs = set[tuple[str, str]]


@dataclass
class PlainWork:
    """Changed rows of the plain entities by table, and what the effects need of the rows before."""

    changed: dict[str, dict[Key, Row]] = field(default_factory=dict)
    new: dict[str, set[Key]] = field(default_factory=dict)
    ended: dict[str, dict[str, datetime]] = field(default_factory=dict)
    general_workspaces: set[str] = field(default_factory=set)
    sessions_before: dict[Key, Row] = field(default_factory=dict)

    @classmethod
    async def load(cls, session: Session, events: Sequence[Event]) -> "PlainWork":
        """Load and fold; nothing is written yet."""
        work = cls()
        for entity in PLAIN_ENTITIES:
            grouped = by_key(entity, events)
            if not grouped:
                continue
            rows = await entities.load(session, entity, grouped)
            work.new[entity.table] = grouped.keys() - rows.keys()
            before = {key: _final_time(row) for key, row in rows.items()}
            claimed = {key: row["claims_general"] for key, row in rows.items()} if entity is CHANNELS else {}
            if entity is SESSIONS:
                work.sessions_before = {key: dict(row) for key, row in rows.items()}
            changed = work.changed[entity.table] = fold_all(entity, rows, grouped)
            work.ended[entity.table] = {
                key[0]: end for key, row in changed.items() if (end := _final_time(row)) and end != before.get(key)
            }
            if entity is CHANNELS:
                work.general_workspaces = {
                    str(row["workspace_id"])
                    for key, row in changed.items()
                    if row["claims_general"] or claimed.get(key)
                }
        return work

    async def store(self, session: Session) -> None:
        """Write the changed rows.

        The lock on who is general comes first: whoever holds it may write other channels' rows, so nobody may wait
        for it while holding rows of their own.
        """
        if self.general_workspaces:
            await session.fetch("lock_general", sorted(self.general_workspaces))
        for entity in PLAIN_ENTITIES:
            await entities.store(session, entity, self.changed.get(entity.table, {}))

    def keys(self, entity: Entity) -> set[Key]:
        """Keys of the rows that changed."""
        return set(self.changed.get(entity.table, ()))


def _final_time(row: Row) -> datetime | None:
    """When the row's entity ended for good: a user by erasure, a workspace by deletion."""
    end: datetime | None = row.get("erased_at") or row.get("deleted_at")
    return end


async def apply_effects(session: Session, plain: PlainWork, messages: MessageWork) -> None:
    """Bring the derived columns of other rows in line, from the top down: people, memberships, counts."""
    await _erase(session, plain.ended.get(USERS.table, {}), messages)
    touched_channels = await _refresh_memberships(session, plain)
    new_channels = {key[0] for key in plain.new.get(CHANNELS.table, ())}
    if channels := touched_channels | new_channels:
        await session.fetch("recount_channels", sorted(channels))
    if plain.general_workspaces:
        await session.fetch("choose_general", sorted(plain.general_workspaces))
    if recount := messages.recount_channels | new_channels:
        await session.fetch("recount_last_message", sorted(recount))
    ended = set(plain.ended.get(CHANNELS.table, ()))
    if deleted := sorted(plain.ended.get(WORKSPACES.table, ())):
        ended |= {str(record["channel_id"]) for record in await session.fetch("channels_of_workspaces", deleted)}
    await _raise_versions(session, messages.list_channels | ended, touched_channels | ended)


async def _raise_versions(session: Session, lists: set[str], members: set[str]) -> None:
    if channels := sorted(lists | members):
        flags = [channel in lists for channel in channels], [channel in members for channel in channels]
        await session.fetch("raise_channel_versions", channels, *flags)


async def _refresh_memberships(session: Session, plain: PlainWork) -> set[str]:
    """Refresh workspace memberships, then the channel memberships that hang on them; returns changed channels."""
    users = sorted(plain.ended.get(USERS.table, ()))
    workspaces = sorted(plain.ended.get(WORKSPACES.table, ()))
    members: Pairs = {(key[0], key[1]) for key in plain.keys(WORKSPACE_MEMBERS)}
    if members:
        await session.fetch("fill_last_seen", *zip(*sorted(members), strict=True))
    members |= await _pairs(session, "workspace_memberships_of_users", users)
    members |= await _pairs(session, "workspace_memberships_of_workspaces", workspaces)
    in_channels: Pairs = {(key[0], key[1]) for key in plain.keys(CHANNEL_MEMBERS)}
    if members:
        columns = tuple(zip(*sorted(members), strict=True))
        await session.fetch("refresh_workspace_members", *columns)
        in_channels |= {(str(r[0]), str(r[1])) for r in await session.fetch("channel_memberships_of_members", *columns)}
    counted = {workspace_id for workspace_id, _ in members} | {key[0] for key in plain.new.get(WORKSPACES.table, ())}
    if counted:
        await session.fetch("recount_workspaces", sorted(counted))
    in_channels |= await _pairs(session, "channel_memberships_of_users", users)
    in_channels |= await _pairs(session, "channel_memberships_of_workspaces", workspaces)
    if not in_channels:
        return set()
    changed = await session.fetch("refresh_channel_members", *zip(*sorted(in_channels), strict=True))
    return {str(record["channel_id"]) for record in changed}


async def _pairs(session: Session, statement: str, ids: Sequence[str]) -> Pairs:
    if not ids:
        return set()
    return {(str(record[0]), str(record[1])) for record in await session.fetch(statement, ids)}


async def _erase(session: Session, erased: dict[str, datetime], messages: MessageWork) -> None:
    """Empty and hide everything these users wrote; rollups and facts stay (rule D, ruling 31)."""
    if not erased:
        return
    users, times = zip(*sorted(erased.items()), strict=True)
    emptied = await session.fetch_of_messages("erase_messages", users, times)
    if emptied:
        pins = sorted({(str(record["channel_id"]), str(record["message_id"])) for record in emptied})
        await session.fetch("drop_pins", *zip(*pins, strict=True))
        messages.recount_channels |= {str(record["channel_id"]) for record in emptied}
        messages.list_channels |= messages.recount_channels
        await recount_roots(session, {str(r["thread_id"]) for r in emptied if r["thread_id"] is not None})
    reacted_rows = await session.fetch("messages_reacted_by", users)
    messages.list_channels |= {str(record["channel_id"]) for record in reacted_rows}
    if reacted := sorted({(str(r["message_id"]), r["message_created_at"]) for r in reacted_rows}):
        await session.fetch_of_messages("recompute_reactions", *zip(*reacted, strict=True))
    ended = await session.fetch("erase_files", users, times)
    await files.refresh_messages(session, (), {str(record["file_id"]) for record in ended})


async def apply_activity(session: Session, events: Iterable[Event]) -> None:
    """Store recorded activity, and when whom was last seen in a workspace (ruling 15)."""
    recorded = [event for event in events if event.type == "collab.activity.recorded"]
    if recorded:
        await session.fetch(
            "add_activity",
            [event.id for event in recorded],
            [event.time for event in recorded],
            [event.data["workspace_id"] for event in recorded],
            [event.data["user_id"] for event in recorded],
            [event.data["event_type"] for event in recorded],
            [to_json(event.data["metadata"]) for event in recorded],
        )


async def apply_last_seen(session: Session, events: Iterable[Event], sessions: Iterable[Row]) -> None:
    """Raise `last_seen_at` by activity and by the events of sessions whose workspace is known."""
    seen: dict[tuple[str, str], datetime] = {}

    def see(workspace_id: object, user_id: object, time: datetime) -> None:
        if workspace_id is not None and user_id is not None:
            key = (str(workspace_id), str(user_id))
            seen[key] = max(seen.get(key, time), time)

    for event in events:
        if event.type == "collab.activity.recorded":
            see(event.data["workspace_id"], event.data["user_id"], event.time)
    for row in sessions:
        see(row["workspace_id"], row["user_id"], seen_at(row))
    if seen:
        keys = sorted(seen)
        await session.fetch("merge_last_seen", *zip(*keys, strict=True), [seen[key] for key in keys])
