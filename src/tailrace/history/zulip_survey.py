"""A first look through a Zulip export's messages: topics, who wrote to whom, and who wrote last when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from tailrace.history.reading import UnreadableFileError
from tailrace.history.values import micros, objects_of, text_of
from tailrace.history.zulip_export import Raw, ZulipExport

Members = tuple[int, ...]
"""Zulip's ids of those who take part in a direct conversation, sorted, each once."""


class RecipientType(IntEnum):
    """What a recipient is."""

    PERSON = 1
    STREAM = 2
    GROUP = 3


@dataclass(slots=True)
class Topic:
    """A topic of a stream: the lowest id of its messages, and how many it has."""

    first: int
    messages: int = 0


@dataclass(slots=True)
class Survey:
    """What the messages say. Topics are named by recipient and their name without case; `spoke` is by user's id."""

    recipients: dict[int, tuple[int, int]] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    topics: dict[tuple[int, str], Topic] = field(default_factory=dict)
    directs: dict[Members, int] = field(default_factory=dict)
    spoke: dict[int, int] = field(default_factory=dict)
    earliest: int | None = None

    def topic(self, message: Raw) -> Topic | None:
        """Return the topic of a message of a stream that has one."""
        subject, recipient = text_of(message.get("subject")), id_of(message.get("recipient"))
        return self.topics.get((recipient, subject.casefold())) if subject and recipient is not None else None

    def direct(self, message: Raw) -> Members | None:
        """Return who takes part in the conversation of a message; None where it is of a stream or of nothing."""
        recipient, sender = id_of(message.get("recipient")), id_of(message.get("sender"))
        kind, target = self.recipients.get(recipient or 0, (0, 0))
        if kind == RecipientType.PERSON and sender is not None:
            return tuple(sorted({sender, target}))
        if kind == RecipientType.GROUP and recipient is not None:
            # In a group the sender is a member too, but may have left the export.
            return tuple(sorted({*self.members.get(recipient, ()), *([] if sender is None else [sender])}))
        return None


def id_of(value: Any) -> int | None:
    """Return a row's id; None for anything but a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def survey(export: ZulipExport) -> Survey:
    """Look through all messages; files that cannot be read are passed over here, and reported when imported."""
    found = Survey()
    for row in export.table("zerver_recipient"):
        key, kind, target = (id_of(row.get(name)) for name in ("id", "type", "type_id"))
        if key is not None and kind is not None and target is not None:
            found.recipients[key] = (kind, target)
    for row in export.table("zerver_subscription"):
        user, recipient = id_of(row.get("user_profile")), id_of(row.get("recipient"))
        if user is not None and recipient is not None:
            found.members.setdefault(recipient, []).append(user)
    for message in _messages(export):
        _note(found, message)
    return found


def _messages(export: ZulipExport) -> Iterator[Raw]:
    for name in export.names:
        try:
            yield from objects_of(export.read(name).get("zerver_message"))
        except UnreadableFileError:
            continue


def _note(found: Survey, message: Raw) -> None:
    key, us = id_of(message.get("id")), sent_at(message)
    if key is None or us is None:
        return
    found.earliest = us if found.earliest is None else min(us, found.earliest)
    sender, recipient = id_of(message.get("sender")), id_of(message.get("recipient"))
    if sender is not None:
        found.spoke[sender] = max(us, found.spoke.get(sender, us))
    members = found.direct(message)
    if members:
        found.directs[members] = min(us, found.directs.get(members, us))
    elif recipient is not None and (subject := text_of(message.get("subject"))):
        topic = found.topics.setdefault((recipient, subject.casefold()), Topic(key))
        topic.first = min(topic.first, key)
        topic.messages += 1


def sent_at(message: Raw) -> int | None:
    """Return when a message was sent, in microseconds; the field had another name until 2019."""
    us = micros(message.get("date_sent"))
    return micros(message.get("pub_date")) if us is None else us
