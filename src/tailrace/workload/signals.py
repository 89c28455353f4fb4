"""What clients tell while people work: sessions, connections, presence, typing, activity."""

from typing import Any, Final

from tailrace.workload import kinds
from tailrace.workload.company import Channel, Company, User, Workspace
from tailrace.workload.dice import Weighted
from tailrace.workload.messages import say, user_text
from tailrace.workload.writer import DAY, HOUR, MINUTE, SECOND

_CHANNELS_MAX: Final = 8
_LENGTHS: Final = Weighted([((3 * MINUTE, 4 * HOUR), 0.7), ((4 * HOUR, 10 * HOUR), 0.28), ((DAY, 2 * DAY), 0.02)])


def session(c: Company, w: Workspace) -> None:
    """Somebody starts to work; most sessions end the same day, some after days, some never."""
    dice = c.dice
    user = dice.pick_early(w.members)
    device = dice.below(4)
    session_id = _start(c, w, user, device)
    if dice.chance(0.5):
        c.writer.emit(kinds.USER_LOGGED_IN, user.id, user.id, None, {"user_id": user.id})
    connection_id = c.writer.new_id()
    channels = [channel.id for channel in w.channels if user.id in channel.joined][:_CHANNELS_MAX]
    opened = {"connection_id": connection_id, "user_id": user.id, "workspace_id": w.id, "channels": channels}
    c.writer.emit(kinds.CONNECTION_OPENED, user.id, connection_id, w.id, opened)
    set_presence(c, w, user, "online", c.words["signals"]["devices"][device])
    if dice.chance(0.92):
        low, high = _LENGTHS.draw(dice)
        c.agenda.add(c.later(low, high), _end, c, w, user, session_id, connection_id)


def _start(c: Company, w: Workspace, user: User, device: int) -> str:
    dice, words = c.dice, c.words["signals"]
    session_id = c.writer.new_id()
    address = f"203.0.113.{dice.below(255)}" if dice.chance(0.7) else f"2001:db8::{dice.bits(16):x}"
    data = {
        "session_id": session_id,
        "user_id": user.id,
        "workspace_id": w.id,
        "device_type": words["devices"][device],
        "ip_address": address,
        "user_agent": words["agents"][device],
        "permissions": ["read", "write"],
    }
    c.writer.emit(kinds.SESSION_STARTED, user.id, session_id, w.id, data)
    return session_id


def _end(c: Company, w: Workspace, user: User, session_id: str, connection_id: str | None) -> None:
    if connection_id:
        closed = {"connection_id": connection_id, "user_id": user.id}
        c.writer.emit(kinds.CONNECTION_CLOSED, user.id, connection_id, w.id, closed)
    ended = {"session_id": session_id, "user_id": user.id}
    c.writer.emit(kinds.SESSION_ENDED, user.id, session_id, w.id, ended)


def session_long_ago(c: Company, w: Workspace) -> None:
    """A whole session that a device kept to itself until now."""
    user = c.dice.pick_early(w.members)
    session_id = _start(c, w, user, c.dice.below(4))
    c.writer.advance(c.later(5 * MINUTE, 10 * HOUR))
    _end(c, w, user, session_id, None)


def set_presence(c: Company, w: Workspace, user: User, status: str, device: str) -> None:
    """Write a presence."""
    data: dict[str, Any] = {"user_id": user.id, "workspace_id": w.id, "status": status, "device_type": device}
    if c.dice.chance(0.2):
        data["custom_status"] = c.dice.pick(c.words["people"]["statuses"])
    if c.dice.chance(0.7):
        data["timezone"] = user.timezone
    c.writer.emit(kinds.PRESENCE_CHANGED, user.id, f"{user.id}/{w.id}", w.id, data)


def presence(c: Company, w: Workspace) -> None:
    """Somebody comes, goes, or is still there."""
    dice = c.dice
    status = dice.pick(("online", "online", "online", "away", "dnd", "offline"))
    set_presence(c, w, dice.pick_early(w.members), status, dice.pick(c.words["signals"]["devices"]))


def typing(c: Company, w: Workspace) -> None:
    """Somebody types, and mostly says something then."""
    channel = c.channel(w)
    user = c.member(channel)
    data = {"channel_id": channel.id, "user_id": user.id}
    c.writer.emit(kinds.TYPING_STARTED, user.id, f"{channel.id}/{user.id}", w.id, data)
    if c.dice.chance(0.6):
        c.agenda.add(c.later(SECOND, 9 * SECOND), _say_typed, c, channel, user)


def _say_typed(c: Company, channel: Channel, user: User) -> None:
    if user.id in channel.joined:
        content, extra = user_text(c, channel, user)
        say(c, channel, user, content, extra)


def activity(c: Company, w: Workspace) -> None:
    """Somebody does something that is only counted; some of it nobody did, but the workspace."""
    dice = c.dice
    event_type = dice.pick_early(c.words["signals"]["activities"])
    metadata: dict[str, Any] = {"duration_ms": dice.below(90_000), "client": dice.pick(c.words["signals"]["devices"])}
    if event_type == "search_performed":
        metadata |= {"terms": dice.between(1, 6), "filters": {"in": w.channels[0].name}}
    data: dict[str, Any] = {"workspace_id": w.id, "event_type": event_type, "metadata": metadata}
    key = w.id
    if dice.chance(0.92):
        key = data["user_id"] = dice.pick_early(w.members).id
    c.writer.emit(kinds.ACTIVITY_RECORDED, key, key, w.id, data)
