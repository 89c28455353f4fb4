"""Channels and their members."""

from datetime import datetime

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import (
    FreeRow,
    Key,
    Log,
    OneOf,
    Row,
    Subject,
    Table,
    by_fields,
    columns_of,
    latest,
    newest_time,
    rank,
    time_of,
)
from tailrace.verification.fold_membership import Endings, Membership, membership

CHANNEL_PROFILE = (
    "workspace_id",
    "name",
    "display_name",
    "description",
    "channel_type",
    "topic",
    "purpose",
    "retention_policy",
    "allow_threads",
    "allow_file_upload",
    "allow_external_sharing",
    "created_by",
)
MEMBER_PROFILE = ("role", "notification_level", "muted", "muted_until", "invited_by")


def channels(log: Log, members: Table, last_message_at: dict[str, datetime]) -> Table:
    """Fold `collab.channels`.

    `members` is the folded `channel_members`; `last_message_at` the newest `created_at` of visible messages by channel.
    A channel without an event of its own has no row: messages, members and reads in it make none.
    """
    subjects = log.subjects(
        "channel.created",
        "channel.updated",
        "channel.archived",
        "channel.unarchived",
        "channel.deleted",
        by=by_fields("channel_id"),
    )
    counts: dict[str, int] = {}
    for (channel_id, _), member in members.items():
        counts[channel_id] = counts.get(channel_id, 0) + bool(member["is_active"])
    general = set(_general_channels(subjects).values())
    table: dict[Key, Row] = {}
    for key, channel in subjects.items():
        (channel_id,) = key
        table[key] = {
            **_channel(channel, is_general=channel_id in general),
            "member_count": counts.get(channel_id, 0),
            "last_message_at": last_message_at.get(channel_id),
        }
    return table


def _channel(channel: Subject, *, is_general: bool) -> Row:
    profile = channel.last("channel.created", "channel.updated")
    archiving = channel.last("channel.archived", "channel.unarchived")
    deletion = channel.last("channel.deleted")
    is_archived = archiving is not None and archiving.type.endswith(".archived")
    row = {
        **columns_of(profile, CHANNEL_PROFILE),
        "is_general": is_general,
        "is_archived": is_archived,
        "archived_at": time_of(archiving) if is_archived else None,
        "created_at": time_of(channel.first("channel.created")),
        "updated_at": newest_time(profile, archiving, deletion),
        "deleted_at": time_of(deletion),
    }
    if profile is None:
        # Whether "known" (11) reaches to what an archiving says beside its own register is open.
        known = channel.all("channel.archived", "channel.unarchived", "channel.deleted")
        row["workspace_id"] = OneOf((None, *(event.data["workspace_id"] for event in known)))
        row["is_general"] = OneOf((None, False))
    return row


def _general_channels(subjects: dict[tuple[str, ...], Subject]) -> dict[str, str]:
    """workspace_id → the one channel that shows `is_general` (4): not deleted, its profile says so, highest rank."""
    claims: dict[str, list[Event]] = {}
    for channel in subjects.values():
        profile = channel.last("channel.created", "channel.updated")
        if profile is not None and profile.data["is_general"] and not channel.all("channel.deleted"):
            claims.setdefault(profile.data["workspace_id"], []).append(profile)
    return {workspace_id: max(events, key=rank).data["channel_id"] for workspace_id, events in claims.items()}


def channel_members(log: Log, endings: Endings) -> Table:
    """Fold `collab.channel_members`: the membership's own events, what ends it from outside, and the read position."""
    subjects = log.subjects(
        "channel_member.joined",
        "channel_member.updated",
        "channel_member.left",
        "channel.read",
        by=by_fields("channel_id", "user_id"),
    )
    table: dict[Key, Row] = {}
    for key, events in subjects.items():
        own = membership(
            events.all("channel_member.joined"),
            events.all("channel_member.updated"),
            events.all("channel_member.left"),
        )
        if own is None:
            # A reader who never joined is in no active membership; whether a row shows is free (14).
            table[key] = FreeRow(is_active=False)
            continue
        left_at = _left_at(own, key[1], endings)
        table[key] = {
            "workspace_id": own.winner.data["workspace_id"],
            **columns_of(own.profile, MEMBER_PROFILE),
            "is_active": left_at is None,
            "joined_at": own.joined_at,
            "left_at": left_at,
            **_read_position(events.all("channel.read")),
        }
    return table


def _left_at(own: Membership, user_id: str, endings: Endings) -> datetime | None:
    """Time of what ended the membership, None while it is active (1, 8, 32, 35).

    Where several things ended it, the first of these gives the time: its own `left`, the removal from the workspace,
    the erasure, the workspace's deletion.
    """
    workspace_id = own.winner.data["workspace_id"]
    return (
        own.own_left_at
        or endings.removed_at(workspace_id, user_id, own.joined_at)
        or endings.erased_at(user_id)
        or endings.deleted_at(workspace_id)
    )


def _read_position(reads: list[Event]) -> Row:
    """Columns `last_read_at` and `last_read_message_id`; none where ruling 3 leaves them open. `reads` in log order.

    The highest `mark_unread` sets the position and makes reads of lower rank stale; reads of higher rank only raise it.
    """
    mark = latest(read for read in reads if read.data.get("mark_unread"))
    ordinary = [read for read in reads if not read.data.get("mark_unread")]
    if mark is not None:
        ordinary = [read for read in ordinary if rank(read) > rank(mark)]
        place = next(index for index, read in enumerate(reads) if read is mark)
        seen_before_the_mark = {id(read) for read in reads[:place]}
        if any(id(read) in seen_before_the_mark for read in ordinary):
            return {}
        ordinary.append(mark)
    # Of several that reach one instant the newest names the message.
    furthest = max(ordinary, key=lambda read: (read.data["last_read_at"], rank(read)), default=None)
    return columns_of(furthest, ("last_read_at", "last_read_message_id"))
