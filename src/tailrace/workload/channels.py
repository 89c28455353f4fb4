"""Channels: opening, changing, archiving, and who is in them."""

from collections.abc import Callable
from typing import Any, Final

from tailrace.workload import kinds
from tailrace.workload.company import Channel, Company, User, Workspace
from tailrace.workload.dice import Weighted
from tailrace.workload.messages import post
from tailrace.workload.writer import DAY, HOUR

_LEVELS: Final = Weighted([("all", 0.7), ("mentions", 0.25), ("none", 0.05)])
_MEMBERS_MIN: Final = 2
_CHANNELS_MIN: Final = 3
_PAIR: Final = 2


def publish_channel(c: Company, channel: Channel, kind: kinds.Kind) -> None:
    """Write channel.created or channel.updated with all that is known of the channel."""
    c.writer.emit(kind, channel.id, channel.id, channel.workspace.id, channel.profile())


def open_channel(c: Company, w: Workspace, name: str, channel_type: str, founder: User) -> Channel:
    """Create a channel; nobody is in it yet. The caller lists it in the workspace."""
    dice, words = c.dice, c.words["channels"]
    channel = Channel(c.writer.new_id(), w, name, channel_type, founder)
    if channel_type in {"public", "private"}:
        channel.topic = dice.pick(words["topics"]) if dice.chance(0.5) else None
        channel.purpose = dice.pick(words["purposes"]) if dice.chance(0.6) else None
        channel.is_general = name == "general"
    publish_channel(c, channel, kinds.CHANNEL_CREATED)
    return channel


def channel_name(c: Company, w: Workspace) -> str:
    """Think of a name; two channels of a workspace may end up with the same one."""
    base = c.dice.pick(c.words["channels"]["names"][1:])
    taken = {channel.name for channel in w.channels}
    return base if base not in taken else f"{base}-{c.dice.between(2, 40)}"


def enter(c: Company, channel: Channel, user: User, invited_by: User | None = None) -> None:
    """Make somebody a member of the channel."""
    channel.members.append(user)
    channel.joined.add(user.id)
    data = _membership(c, channel, user)
    if invited_by:
        data["invited_by"] = invited_by.id
    c.writer.emit(kinds.CHANNEL_MEMBER_JOINED, channel.id, f"{channel.id}/{user.id}", channel.workspace.id, data)


def _membership(c: Company, channel: Channel, user: User) -> dict[str, Any]:
    data: dict[str, Any] = {
        "channel_id": channel.id,
        "workspace_id": channel.workspace.id,
        "user_id": user.id,
        "role": "admin" if user is channel.created_by else "member",
        "notification_level": _LEVELS.draw(c.dice),
        "muted": c.dice.chance(0.06),
    }
    if data["muted"] and c.dice.chance(0.6):
        data["muted_until"] = c.writer.after(c.dice.between(HOUR, 5 * DAY))
    return data


def leave(c: Company, channel: Channel, user: User, removed_by: User | None = None) -> None:
    """Take somebody out of the channel."""
    channel.members.remove(user)
    channel.joined.discard(user.id)
    channel.former.append(user)
    data = {"channel_id": channel.id, "workspace_id": channel.workspace.id, "user_id": user.id}
    if removed_by:
        data["removed_by"] = removed_by.id
    c.writer.emit(kinds.CHANNEL_MEMBER_LEFT, channel.id, f"{channel.id}/{user.id}", channel.workspace.id, data)


def forget_member(c: Company, w: Workspace, user: User) -> None:
    """Drop somebody from all channels without a word: the end of the workspace membership says it."""
    for channel in (*w.channels, *w.archived, *w.dms):
        if user.id in channel.joined:
            channel.members.remove(user)
            channel.joined.discard(user.id)
    w.dms = [channel for channel in w.dms if len(channel.members) > 1]
    for channel in w.channels:
        if not channel.members:
            enter(c, channel, w.owner)


def join_channel(c: Company, w: Workspace) -> None:
    """A member of the workspace joins a channel that he is not in."""
    channel = w.channels[c.dice.zipf(len(w.channels))]
    user = c.dice.pick(w.members)
    if user.id in channel.joined:
        return post(c, w)
    return enter(c, channel, user, w.owner if c.dice.chance(0.3) else None)


def leave_channel(c: Company, w: Workspace) -> None:
    """Somebody leaves a channel, or is taken out."""
    channel = c.dice.pick(w.channels)
    user = c.dice.pick(channel.members)
    if channel.is_general or len(channel.members) <= _MEMBERS_MIN or user is w.owner:
        return post(c, w)
    return leave(c, channel, user, w.owner if c.dice.chance(0.2) else None)


def rejoin_channel(c: Company, w: Workspace) -> None:
    """Somebody comes back to a channel."""
    channel = next((ch for ch in w.channels if ch.former), None)
    user = channel.former.pop() if channel else None
    if channel is None or user is None or user.erased or user.id in channel.joined or user not in w.members:
        return join_channel(c, w)
    return enter(c, channel, user)


def tune_channel(c: Company, w: Workspace) -> None:
    """Somebody changes what a channel may disturb him with."""
    channel = c.channel(w)
    user = c.member(channel)
    data = _membership(c, channel, user)
    c.writer.emit(kinds.CHANNEL_MEMBER_UPDATED, channel.id, f"{channel.id}/{user.id}", w.id, data)


def create_channel(c: Company, w: Workspace) -> None:
    """A team opens a channel for itself."""
    if len(w.channels) >= 2 * w.members_max:
        return archive_channel(c, w)
    dice = c.dice
    founder = dice.pick(w.members)
    channel = open_channel(c, w, channel_name(c, w), "private" if dice.chance(0.3) else "public", founder)
    enter(c, channel, founder)
    for user in dice.sample(w.members, 2 + dice.below(6)):
        if user is not founder:
            enter(c, channel, user, founder)
    # New channels find readers: somewhere in the upper half of the order of popularity.
    return w.channels.insert(1 + dice.below(1 + len(w.channels) // 2), channel)


def change_channel(c: Company, w: Workspace) -> None:
    """A channel gets another name, topic or kind, two channels swap names, or another one becomes the general one."""
    channel = c.dice.pick(w.channels)
    _CHANGES.draw(c.dice)(c, w, channel)
    publish_channel(c, channel, kinds.CHANNEL_UPDATED)


def _new_topic(c: Company, _: Workspace, channel: Channel) -> None:
    channel.topic = c.dice.pick(c.words["channels"]["topics"])


def _new_name(c: Company, w: Workspace, channel: Channel) -> None:
    channel.name = channel_name(c, w)


def _new_privacy(_: Company, __: Workspace, channel: Channel) -> None:
    channel.channel_type = "private" if channel.channel_type == "public" else "public"


def _swap_names(c: Company, w: Workspace, channel: Channel) -> None:
    other = c.dice.pick(w.channels)
    channel.name, other.name = other.name, channel.name
    publish_channel(c, other, kinds.CHANNEL_UPDATED)


def _make_general(c: Company, w: Workspace, channel: Channel) -> None:
    for former in [ch for ch in w.channels if ch.is_general and ch is not channel]:
        former.is_general = False
        if c.dice.chance(0.5):  # some producers only tell about the new one
            publish_channel(c, former, kinds.CHANNEL_UPDATED)
    channel.is_general = True


_CHANGES: Final[Weighted[Callable[[Company, Workspace, Channel], None]]] = Weighted(
    [(_new_topic, 0.35), (_new_name, 0.25), (_new_privacy, 0.25), (_swap_names, 0.08), (_make_general, 0.07)]
)


def _refer(c: Company, channel: Channel, kind: kinds.Kind) -> None:
    data = {"channel_id": channel.id, "workspace_id": channel.workspace.id}
    c.writer.emit(kind, channel.id, channel.id, channel.workspace.id, data)


def archive_channel(c: Company, w: Workspace) -> None:
    """A channel is put away; a late message may still come in."""
    channel = c.dice.pick(w.channels)
    if channel.is_general or len(w.channels) <= _CHANNELS_MIN:
        return post(c, w)
    w.channels.remove(channel)
    if len(w.archived) < w.members_max:
        w.archived.append(channel)
    return _refer(c, channel, kinds.CHANNEL_ARCHIVED)


def unarchive_channel(c: Company, w: Workspace) -> None:
    """A channel is taken out of the archive."""
    if not w.archived:
        return archive_channel(c, w)
    channel = w.archived.pop(c.dice.below(len(w.archived)))
    if not channel.members:
        enter(c, channel, w.owner)
    w.channels.append(channel)
    return _refer(c, channel, kinds.CHANNEL_UNARCHIVED)


def delete_channel(c: Company, w: Workspace) -> None:
    """A channel goes for good."""
    if w.archived:
        return _refer(c, w.archived.pop(0), kinds.CHANNEL_DELETED)
    channel = c.dice.pick(w.channels)
    if channel.is_general or len(w.channels) <= _CHANNELS_MIN:
        return post(c, w)
    w.channels.remove(channel)
    return _refer(c, channel, kinds.CHANNEL_DELETED)


def open_dm(c: Company, w: Workspace) -> None:
    """Two people, sometimes more, start to talk among themselves."""
    dice = c.dice
    circle = dice.sample(w.members, _PAIR if dice.chance(0.8) else 3 + dice.below(3))
    ids = frozenset(user.id for user in circle)
    if ids in w.dm_circles or len(circle) < _PAIR or len(w.dm_circles) >= 3 * w.members_max:
        return post(c, w)
    w.dm_circles.add(ids)
    kind = "dm" if len(circle) == _PAIR else "group_dm"
    channel = open_channel(c, w, "-".join(user.username for user in circle), kind, circle[0])
    for user in circle:
        enter(c, channel, user)
    return w.dms.insert(dice.below(1 + len(w.dms)), channel)
