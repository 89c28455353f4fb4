"""What the keys in Redis must hold, from the log alone (CONTRACT section 3, rules U and D, rulings 50 to 55a)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Key, Log, OneOf, Row, Table, by_fields, time_of
from tailrace.verification.fold_messages import Postings

RECENT: Final = 100
COUNTED: Final = frozenset({"text", "file", "bot"})
LIFETIMES: Final = {
    "session": timedelta(seconds=86_400),
    "presence": timedelta(seconds=300),
    "connection": timedelta(seconds=7_200),
    "typing": timedelta(seconds=10),
    "message_rate": timedelta(seconds=60),
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a key must hold. `expires_at` None: no lifetime. `may_be_absent`: the rules do not ask for the key."""

    value: Any
    expires_at: datetime | None = None
    may_be_absent: bool = False


Keys = dict[Key, Expected]


@dataclass(slots=True)
class Caches:
    """Expected keys by family, then by the ids in their names."""

    families: dict[str, Keys] = field(default_factory=dict)


def fold_caches(events: Sequence[Event], tables: dict[str, Table], now: datetime) -> Caches:
    """Expected keys at `now` (aware UTC), from the decoded log and the tables that `fold` made of it.

    Keys whose lifetime has ended by `now` are left out; those near their end are the comparison's to judge.
    """
    log = Log(events)
    gone = _Gone(log, tables)
    visible = _visible(tables, gone)
    sessions = _living(log, gone, "session", "session.started", "session.ended", now)
    live = {expected.value["user_id"] for expected in sessions.values()}
    return Caches(
        {
            "recent_messages": _recent(visible),
            "unread_counts": _unread(visible, tables, gone, live),
            "channel_members": _members(tables, gone),
            "session": sessions,
            "connection": _living(log, gone, "connection", "connection.opened", "connection.closed", now),
            "presence": _presence(log, gone, now),
            "typing": _typing(log, now),
            "message_rate": _rates(log, gone, now),
        }
    )


class _Gone:
    """What is deleted or erased, and when whom was removed from where."""

    def __init__(self, log: Log, tables: dict[str, Table]) -> None:
        self.workspaces = {key[0] for key, row in tables["workspaces"].items() if row["deleted_at"] is not None}
        self.channels = {key[0] for key, row in tables["channels"].items() if row["deleted_at"] is not None}
        self.users = {event.data["user_id"] for event in log.of("user.erased")}
        left = log.subjects("workspace_member.left", by=by_fields("workspace_id", "user_id"))
        self._removals = {key: time_of(subject.last("workspace_member.left")) for key, subject in left.items()}

    def revokes(self, workspace_id: str, user_id: str, started_at: datetime) -> bool:
        """Whether a session or connection that began then is gone whatever its own events say."""
        if user_id in self.users or workspace_id in self.workspaces:
            return True
        removed_at = self._removals.get((workspace_id, user_id))
        return removed_at is not None and removed_at >= started_at


def _visible(tables: dict[str, Table], gone: _Gone) -> dict[str, list[tuple[datetime, str, Row]]]:
    """channel_id → (created_at, message_id, row) of its visible messages, newest first."""
    found: defaultdict[str, list[tuple[datetime, str, Row]]] = defaultdict(list)
    for (message_id, created_at), row in tables["messages"].items():
        is_gone = row["channel_id"] in gone.channels or row["workspace_id"] in gone.workspaces
        if not row["is_deleted"] and not is_gone:
            found[row["channel_id"]].append((created_at, message_id, row))
    for messages in found.values():
        messages.sort(key=lambda message: message[:2], reverse=True)
    return dict(found)


def _recent(visible: dict[str, list[tuple[datetime, str, Row]]]) -> Keys:
    return {
        (channel_id,): Expected(
            [
                {
                    "message_id": message_id,
                    "created_at": created_at,
                    **{name: row[name] for name in ("user_id", "content", "message_type", "thread_id", "edited_at")},
                    "reactions": row["reactions"],
                }
                for created_at, message_id, row in messages[:RECENT]
            ]
        )
        for channel_id, messages in visible.items()
    }


def _unread(
    visible: dict[str, list[tuple[datetime, str, Row]]], tables: dict[str, Table], gone: _Gone, live: set[str]
) -> Keys:
    """Rule U. A count is None where ruling 3 leaves the read position open."""
    counts: defaultdict[Key, dict[str, int | None]] = defaultdict(dict)
    for (channel_id, user_id), member in tables["channel_members"].items():
        if not member["is_active"] or channel_id in gone.channels:
            continue
        unread: int | None = None
        if "last_read_at" in member:
            base = max(at for at in (member["joined_at"], member["last_read_at"]) if at is not None)
            unread = sum(
                created_at > base and row["user_id"] != user_id and row["message_type"] in COUNTED
                for created_at, _, row in visible.get(channel_id, ())
            )
        if unread != 0:
            counts[user_id, member["workspace_id"]][channel_id] = unread
    return {key: Expected(value, may_be_absent=key[0] not in live) for key, value in counts.items()}


def _members(tables: dict[str, Table], gone: _Gone) -> Keys:
    members: defaultdict[str, list[str]] = defaultdict(list)
    for (channel_id, user_id), member in tables["channel_members"].items():
        if member["is_active"] and channel_id not in gone.channels:
            members[channel_id].append(user_id)
    return {
        (channel_id,): Expected({"members": sorted(ids), "member_count": len(ids)}, may_be_absent=True)
        for channel_id, ids in members.items()
    }


def _living(log: Log, gone: _Gone, kind: str, begins: str, ends: str, now: datetime) -> Keys:
    keys: Keys = {}
    for key, subject in log.subjects(begins, ends, by=by_fields(f"{kind}_id")).items():
        start = subject.last(begins)
        if start is None or subject.all(ends):
            continue
        data = start.data
        if gone.revokes(data["workspace_id"], data["user_id"], start.time):
            continue
        last_at = max(event.time for event in subject.all(begins))
        expires_at = last_at + LIFETIMES[kind]
        value = {"user_id": data["user_id"], "workspace_id": data["workspace_id"]}
        if kind == "session":
            names = ("device_type", "ip_address", "user_agent", "permissions")
            value |= {name: data[name] for name in names} | {"created_at": start.time, "last_activity": last_at}
        else:
            value |= {"channels": data["channels"], "connected_at": start.time}
        if expires_at > now:
            keys[key] = Expected(value, expires_at)
    return keys


def _presence(log: Log, gone: _Gone, now: datetime) -> Keys:
    """The event of the highest sequence, whatever its time (55a)."""
    keys: Keys = {}
    for key, subject in log.subjects("presence.changed", by=by_fields("user_id", "workspace_id")).items():
        event = subject.last("presence.changed")
        if event is None or key[0] in gone.users or key[1] in gone.workspaces:
            continue
        names = ("status", "custom_status", "device_type", "timezone")
        value = {**{name: event.data.get(name) for name in names}, "last_seen": event.time}
        expires_at = event.time + LIFETIMES["presence"]
        if expires_at > now:
            keys[key] = Expected(value, expires_at)
    return keys


def _typing(log: Log, now: datetime) -> Keys:
    typing = log.subjects("typing.started", by=by_fields("channel_id", "user_id"))
    posts: defaultdict[Key, list[Event]] = defaultdict(list)
    for post in Postings(log).posted.values():
        posts[post.data["channel_id"], post.data["user_id"]].append(post)
    keys: Keys = {}
    for key, subject in typing.items():
        typed_at = _newest(subject.all("typing.started"))
        posted_at = _newest(posts.get(key, ()))
        expires_at = typed_at + LIFETIMES["typing"] if typed_at else now
        if typed_at and expires_at > now and (posted_at is None or posted_at < typed_at):
            keys[key] = Expected("1", expires_at, may_be_absent=True)
    return keys


def _newest(events: Iterable[Event]) -> datetime | None:
    return max((event.time for event in events), default=None)


def _rates(log: Log, gone: _Gone, now: datetime) -> Keys:
    """Postings that made a message, by the minute of their event time; aliases and repeats count nowhere (59).

    They go with a deleted workspace, but a worker that is killed between writing one and asking whether its workspace
    is still there leaves it for the rest of its lifetime, perhaps with fewer than were posted.
    """
    found: defaultdict[Key, list[Event]] = defaultdict(list)
    for event in Postings(log).posted.values():
        minute = str(int(event.time.timestamp()) // 60)
        found[event.data["user_id"], event.data["channel_id"], minute].append(event)
    keys: Keys = {}
    for key, events in found.items():
        expires_at = max(event.time for event in events) + LIFETIMES["message_rate"]
        if expires_at > now:
            is_gone = any(event.data["workspace_id"] in gone.workspaces for event in events)
            count = OneOf(tuple(range(1, len(events) + 1))) if is_gone else len(events)
            keys[key] = Expected(count, expires_at, may_be_absent=True)
    return keys
