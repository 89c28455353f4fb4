"""Channels, their members and read positions (rules D and U)."""

from typing import Any

from tailrace.projections.directory import fold_membership
from tailrace.projections.entity import Entity
from tailrace.projections.registers import Registers, Row, assign, held_at, latest, moment, stamp, take, take_lowest
from tailrace.schemas.event import Event

_CHANNEL = (
    "workspace_id", "name", "display_name", "description", "channel_type", "topic", "purpose", "retention_policy",
    "allow_threads", "allow_file_upload", "allow_external_sharing", "created_by",
)  # fmt: skip


def _fold_channel(row: Row, event: Event) -> bool:
    registers = row["registers"]
    changed = False
    match event.type:
        case "collab.channel.created" | "collab.channel.updated":
            if event.type.endswith(".created"):
                changed = take_lowest(registers, "created", event)
            if take(registers, "profile", event):
                assign(row, event.data, _CHANNEL)
                row["claims_general"] = event.data["is_general"]
                changed = True
        case "collab.channel.archived" | "collab.channel.unarchived":
            if changed := take(registers, "archived", event, event.type.endswith(".archived")):
                row["is_archived"] = registers["archived"][3]
                row["archived_at"] = event.time if row["is_archived"] else None
        case "collab.channel.deleted":
            changed = take(registers, "deleted", event)
    if changed:
        if row["workspace_id"] is None:
            row["workspace_id"] = event.data["workspace_id"]
        row["created_at"] = held_at(registers, "created")
        row["updated_at"] = latest(registers, "profile", "archived", "deleted")
        row["deleted_at"] = held_at(registers, "deleted")
    return changed


CHANNELS = Entity(
    table="collab.channels",
    key=("channel_id",),
    columns=(
        *_CHANNEL,
        "is_archived",
        "created_at",
        "updated_at",
        "archived_at",
        "deleted_at",
        "claims_general",
        "registers",
    ),
    types=frozenset(f"collab.channel.{kind}" for kind in ("created", "updated", "archived", "unarchived", "deleted")),
    fold=_fold_channel,
    defaults={"is_archived": False, "claims_general": False},
)

_MEMBER = ("role", "notification_level", "muted", "muted_until", "invited_by")


def _fold_channel_member(row: Row, event: Event) -> bool:
    if event.type == "collab.channel.read":
        changed = _fold_read(row["registers"], event)
        if changed:
            _position(row)
    else:
        changed = fold_membership(row, event, _MEMBER)
    if changed and (row["workspace_id"] is None or event.type != "collab.channel.read"):
        row["workspace_id"] = event.data["workspace_id"]
    return changed


def _fold_read(registers: Registers, event: Event) -> bool:
    """Fold a read into three candidates: the newest mark_unread, the furthest read after it and the newest read.

    A single "greatest so far" would not do: a mark_unread that arrives late must be able to put a read of lower
    sequence aside and still know one of higher sequence (ruling 3).
    """
    before = {name: registers.get(name) for name in ("mark", "furthest", "newest")}
    entry = [event.sequence, event.id, stamp(event.data["last_read_at"]), event.data["last_read_message_id"]]
    if before["mark"] is not None and entry[:2] <= before["mark"][:2]:
        return False
    if event.data.get("mark_unread"):
        registers["mark"] = entry
        _drop_stale_reads(registers, entry)
    else:
        reads = [read for read in (before["furthest"], before["newest"], entry) if read is not None]
        registers["furthest"] = max(reads, key=_how_far)
        registers["newest"] = max(reads, key=_how_new)
    return before != {name: registers.get(name) for name in before}


def _drop_stale_reads(registers: Registers, mark: list[Any]) -> None:
    reads = [registers.pop(name, None) for name in ("furthest", "newest")]
    valid = [read for read in reads if read is not None and read[:2] > mark[:2]]
    if valid:
        registers["furthest"] = max(valid, key=_how_far)
        registers["newest"] = max(valid, key=_how_new)


def _how_far(read: list[Any]) -> tuple[str, int, str]:
    return read[2], read[0], read[1]


def _how_new(read: list[Any]) -> tuple[int, str]:
    return read[0], read[1]


def _position(row: Row) -> None:
    registers = row["registers"]
    candidates = [registers[name] for name in ("mark", "furthest") if name in registers]
    position = max(candidates, key=_how_far)
    row["last_read_at"] = moment(position[2])
    row["last_read_message_id"] = position[3]


CHANNEL_MEMBERS = Entity(
    table="collab.channel_members",
    key=("channel_id", "user_id"),
    columns=(
        "workspace_id",
        *_MEMBER,
        "joined_at",
        "last_read_message_id",
        "last_read_at",
        "own_active",
        "own_left_at",
        "registers",
    ),
    types=frozenset(
        {*(f"collab.channel_member.{kind}" for kind in ("joined", "updated", "left")), "collab.channel.read"}
    ),
    fold=_fold_channel_member,
)
