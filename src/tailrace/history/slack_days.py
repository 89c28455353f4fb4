"""The messages of one day's file, in order of time, each with what log items tell about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tailrace.history.report import Report
from tailrace.history.slack_channels import Room
from tailrace.history.slack_survey import LOGS, TOMBSTONE, Change, Removal, subject_of
from tailrace.history.slack_values import slack_ts
from tailrace.history.values import micros, text_of


@dataclass(slots=True)
class Entry:
    """One message: `us` is its time, `item` its last form as far as the export tells, `place` where that stands."""

    us: int
    item: Mapping[str, Any]
    place: str
    changes: list[Change] = field(default_factory=list)
    removal: Removal | None = None

    @property
    def first(self) -> Mapping[str, Any]:
        """The message as it was posted, as far as the export tells."""
        if self.changes:
            return self.changes[0].before or self.changes[0].after
        return self.item


def entries(room: Room, day: str, items: list[Any], report: Report) -> Iterator[Entry]:
    """Give a day's messages, and between them those that only log items tell about."""
    messages = _messages(day, items, report)
    latest = max(messages, default=0)
    times = [*messages, *_due(room, latest, messages)]
    for us in sorted(times):
        yield _entry(room, us, messages.get(us), f"{day} {slack_ts(us)}")


def leftovers(room: Room) -> Iterator[Entry]:
    """Give the messages that only log items tell about and that are later than the last day's."""
    for us in _due(room, room.pending[-1] if room.pending else 0, {}):
        yield _entry(room, us, None, f"{room.conversation.folder} {slack_ts(us)}")


def _due(room: Room, latest: int, messages: Mapping[int, Any]) -> list[int]:
    due = []
    while room.pending and room.pending[0] <= latest:
        us = room.pending.popleft()
        if us not in messages and (us in room.survey.changes or us in room.survey.removals):
            due.append(us)
    return due


def _messages(day: str, items: list[Any], report: Report) -> dict[int, dict[str, Any]]:
    messages: dict[int, dict[str, Any]] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict) or item.get("type", "message") != "message":
            kind = item.get("type") if isinstance(item, dict) else type(item).__name__
            report.odd(f"item {kind}", f"{day} #{index}")
        elif text_of(item.get("subtype")) in LOGS:
            report.saw("log_items")
            if subject_of(item) is None and item["subtype"] != "message_replied":
                report.odd("log_item_of_no_message", f"{day} #{index}")
        elif (us := micros(item.get("ts"))) is None:
            report.saw("messages")
            report.odd("message_without_time", f"{day} #{index}")
        elif us in messages:
            report.odd("message_twice", f"{day} {slack_ts(us)}")
        else:
            messages[us] = item
    return _without_shared_client_ids(day, messages, report)


def _without_shared_client_ids(
    day: str, messages: dict[int, dict[str, Any]], report: Report
) -> dict[int, dict[str, Any]]:
    # The contract takes a second message with the client's id for the first sent again; Slack kept both, so both are.
    seen: set[tuple[Any, str]] = set()
    for us in sorted(messages):
        client_id = text_of(messages[us].get("client_msg_id"))
        if client_id is None:
            continue
        pair = (text_of(messages[us].get("user")), client_id)
        if pair in seen:
            report.odd("client_msg_id_twice", f"{day} {slack_ts(us)}")
            messages[us] = {**messages[us], "client_msg_id": None}
        seen.add(pair)
    return messages


def _entry(room: Room, us: int, item: dict[str, Any] | None, place: str) -> Entry:
    changes, removal = room.survey.changes.pop(us, []), room.survey.removals.pop(us, None)
    if removal and removal.before and (item is None or item.get("subtype") == TOMBSTONE):
        # What stands in a thread for a deleted message has lost its text and its author; the log has not.
        item = {**(item or {}), "subtype": None, **removal.before}
    if item is None and changes:
        item = dict(changes[-1].after or changes[-1].before)
    return Entry(us, item or {"subtype": TOMBSTONE}, place, changes, removal)
