"""A random life of a few channels as contract events, and what notifications and trends it must lead to.

The recounts read the events as a person would, message by message and window by window, with none of the streams' code.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

Event = dict[str, Any]

WORLD = UUID("0199c1d2-0000-7000-8000-000000000000")
WORKSPACE = str(WORLD)


def uid(name: str) -> str:
    return str(uuid5(WORLD, name))


def rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def value_of(event: Event) -> bytes:
    return json.dumps(event).encode()


class Life:
    """Makes events, each a little after the one before; `step` is the mean distance in seconds."""

    def __init__(self, seed: int, *, begins: datetime, step_s: float, channels: int = 12, people: int = 10) -> None:
        self.dice = random.Random(seed)
        self.time = begins
        self.step_s = step_s
        self.people = [uid(f"user {number}") for number in range(people)]
        self.channels = [uid(f"channel {number}") for number in range(channels)]
        self.made = 0
        self.messages: dict[str, list[str]] = {channel: [] for channel in self.channels}
        self.authors: dict[str, str] = {}

    def event(self, name: str, channel: str, /, **data: Any) -> Event:
        self.made += 1
        self.time += timedelta(seconds=self.dice.expovariate(1 / self.step_s))
        return {
            "specversion": "1.0",
            "id": uid(f"event {self.made}"),
            "type": f"collab.{name}",
            "source": "/tests",
            "subject": channel,
            "time": rfc3339(self.time),
            "sequence": str(self.made),
            "data": {"channel_id": channel, "workspace_id": WORKSPACE} | data,
        }

    def founding(self) -> Iterator[Event]:
        for number, channel in enumerate(self.channels):
            kind = ("dm", "group_dm", "public", "private")[min(number, 3)]
            flags = {"is_general": False, "allow_threads": True, "allow_file_upload": True}
            yield self.event(
                "channel.created", channel, name="c", channel_type=kind, created_by=self.people[0],
                allow_external_sharing=False, **flags,
            )  # fmt: skip
            for person in self.people[: 2 if kind == "dm" else None]:
                if self.dice.random() < 0.8:
                    yield self.member("joined", channel, person)

    def member(self, kind: str, channel: str, person: str) -> Event:
        muted = self.dice.random() < 0.2
        until = rfc3339(self.time + timedelta(seconds=20 * self.step_s)) if self.dice.random() < 0.5 else None
        level = self.dice.choice(["all", "all", "mentions", "none"])
        settings = {"role": "member", "notification_level": level, "muted": muted, "muted_until": until}
        return self.event(f"channel_member.{kind}", channel, user_id=person, **settings)

    def events(self, count: int) -> Iterator[Event]:
        for _ in range(count):
            channel = self.dice.choice(self.channels)
            roll = self.dice.random()
            known = self.messages[channel]
            if roll < 0.06:
                yield self.member(self.dice.choice(["joined", "updated"]), channel, self.dice.choice(self.people))
            elif roll < 0.09:
                yield self.event("channel_member.left", channel, user_id=self.dice.choice(self.people))
            elif roll < 0.2 and known:
                yield self.edited(channel, self.dice.choice(known[-10:]))
            elif roll < 0.25 and known:
                message = self.dice.choice(known[-10:])
                yield self.event("message.deleted", channel, message_id=message, actor_id=self.authors[message])
            elif roll < 0.4 and known:
                data = {"message_id": self.dice.choice(known[-10:]), "user_id": self.dice.choice(self.people)}
                yield self.event("reaction.added", channel, emoji=self.dice.choice("👍🎉"), **data)
            else:
                yield self.posted(channel)

    def _mentions(self) -> list[str]:
        return self.dice.sample(self.people, self.dice.choice([0, 0, 0, 1, 2]))

    def _text(self) -> str:
        return self.dice.choice(["hello", "hello", "hello", "look @channel, please", "mail me at a@channel.example"])

    def posted(self, channel: str) -> Event:
        author, message = self.dice.choice(self.people), uid(f"message {self.made}")
        known = self.messages[channel]
        event = self.event(
            "message.posted", channel, message_id=message, user_id=author, content=self._text(), file_ids=[],
            message_type=self.dice.choice(["text", "text", "text", "bot", "system"]), mentions=self._mentions(),
            thread_id=self.dice.choice(known[-6:]) if known and self.dice.random() < 0.4 else None, created_at="",
        )  # fmt: skip
        event["data"]["created_at"] = event["time"]
        self.messages[channel].append(message)
        self.authors[message] = author
        return event

    def edited(self, channel: str, message: str) -> Event:
        event = self.event(
            "message.edited", channel, message_id=message, editor_id=self.authors[message], content=self._text(),
            mentions=self._mentions(), edited_at="",
        )  # fmt: skip
        event["data"]["edited_at"] = event["time"]
        return event


STRENGTH = ["thread_reply", "mention", "direct_message"]


class Hearing:
    """Who hears of what, event by event. `raised` is by (message, recipient)."""

    def __init__(self) -> None:
        self.direct: set[str] = set()
        self.settings: dict[tuple[str, str], dict[str, Any]] = {}
        self.roots: dict[str, str | None] = {}
        self.authors: dict[str, str] = {}
        self.called: dict[str, tuple[set[str], bool]] = {}
        self.writers: dict[str, list[str]] = defaultdict(list)
        self.deleted: set[str] = set()
        self.raised: dict[tuple[str, str], str] = {}

    def see(self, event: Event) -> None:
        data, name = event["data"], event["type"].removeprefix("collab.")
        if name == "channel.created" and data["channel_type"] in {"dm", "group_dm"}:
            self.direct.add(data["channel_id"])
        elif name in {"channel_member.joined", "channel_member.updated"}:
            self.settings[data["channel_id"], data["user_id"]] = data
        elif name == "channel_member.left":
            self.settings.pop((data["channel_id"], data["user_id"]), None)
        elif name == "message.deleted":
            self.deleted.add(data["message_id"])
        elif name in {"message.posted", "message.edited"}:
            self._call(event, self._posted(event) if name == "message.posted" else {})

    def _members(self, channel: str) -> set[str]:
        return {person for where, person in self.settings if where == channel}

    def _posted(self, event: Event) -> dict[str, str]:
        data = event["data"]
        parent = data["thread_id"]
        root = self.roots[data["message_id"]] = self.roots.get(parent) or parent
        self.authors[data["message_id"]] = data["user_id"]
        self.called[data["message_id"]] = set(), False
        wanted = dict.fromkeys(self.writers[root] if root else (), "thread_reply")
        self.writers[root or data["message_id"]].append(data["user_id"])
        if data["channel_id"] in self.direct:
            wanted |= dict.fromkeys(self._members(data["channel_id"]), "direct_message")
        return wanted

    def _call(self, event: Event, wanted: dict[str, str]) -> None:
        data = event["data"]
        channel, message = data["channel_id"], data["message_id"]
        people, all_before = self.called[message]
        is_for_all = data["content"].startswith("look @channel")
        self.called[message] = {*data["mentions"]}, is_for_all
        called = {*data["mentions"]} - people | (self._members(channel) if is_for_all and not all_before else set())
        for person in called:
            wanted[person] = "direct_message" if channel in self.direct else "mention"
        for person, kind in wanted.items():
            if person != self.authors[message] and self._listens(channel, person, kind, event["time"]):
                before = self.raised.get((message, person), kind)
                self.raised[message, person] = max(before, kind, key=STRENGTH.index)

    def _listens(self, channel: str, person: str, kind: str, time: str) -> bool:
        now = self.settings.get((channel, person))
        if now is None or (now["muted"] and (now["muted_until"] is None or now["muted_until"] > time)):
            return False
        return now["notification_level"] in ({"all"} if kind == "thread_reply" else {"all", "mentions"})


def notifications_of(events: Iterable[Event]) -> dict[tuple[str, str], tuple[str, bool]]:
    """(message, recipient) → strongest kind and whether it is withdrawn; events in the order of their channels."""
    hearing = Hearing()
    for event in events:
        hearing.see(event)
    return {key: (kind, key[0] in hearing.deleted) for key, kind in hearing.raised.items()}


GRACE_S = 600
SHAPES = {60: 60, 300: 60, 3_600: 300}
"""Sizes of windows and how often one begins, in seconds."""


def windows_of(log: Iterable[tuple[float, Event]]) -> dict[tuple[str, int, int], tuple[int, int, int]]:
    """(channel, seconds, start) → messages, reactions, people; one partition's (append time, event) in its order.

    An event is left out when the newest before it is ten minutes or more past the end of its minute.
    """
    found: dict[tuple[str, int, int], tuple[set[str], set[tuple[str, str, str]], set[str]]] = {}
    newest = 0.0
    for appended, event in log:
        data, name = event["data"], event["type"].removeprefix("collab.")
        if name not in {"message.posted", "reaction.added"} or data.get("message_type") == "system":
            continue
        time = datetime.fromisoformat(event["time"]).timestamp()
        is_late = time - time % 60 + 60 + GRACE_S <= newest
        newest = max(newest, min(time, appended))
        if is_late:
            continue
        for size, hop in SHAPES.items():
            start = time - time % hop
            while start + size > time:
                sets = found.setdefault((data["channel_id"], size, int(start)), (set(), set(), set()))
                sets[2].add(data["user_id"])
                if name == "message.posted":
                    sets[0].add(data["message_id"])
                else:
                    sets[1].add((data["message_id"], data["user_id"], data["emoji"]))
                start -= hop
    return {key: (len(a), len(b), len(c)) for key, (a, b, c) in found.items()}
