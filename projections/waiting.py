"""Who waits behind a refused event: the later events of its subject, in the order of the log (rule X)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tailrace.schemas.event import Event

Subject = tuple[str, str]
"""Topic (short name) and what of it an event is about."""

_IDS = (
    "file_id", "notification_id", "message_id", "session_id", "connection_id", "invitation_id", "integration_id",
)  # fmt: skip


def subject_of(event: Event) -> Subject:
    """What the event is about, by its data, for the envelope's subject is not checked (ruling 79).

    The id of a file, message, session, invitation or integration; of a pair both ids; else the channel, user or
    workspace. Everything of one subject has one key, so it lies in one partition.
    """
    data = event.data
    for name in _IDS:
        if (value := data.get(name)) is not None:
            return event.topic, value
    ids = [data.get("channel_id") or data.get("workspace_id"), data.get("user_id")]
    return event.topic, "/".join(value for value in ids if value is not None)


@dataclass
class Line:
    """Lets events pass whose subject is not blocked, and holds the others behind the refused event that blocks it.

    `blocked` gives the refused event's id by subject, `waiting` the stored events behind a refused one, in the order
    of the log. `held` are those that do not pass, by id, each with the refused event it waits behind.
    """

    blocked: dict[Subject, str] = field(default_factory=dict)
    waiting: dict[str, list[Event]] = field(default_factory=dict)
    held: dict[str, tuple[Event, str]] = field(default_factory=dict)

    def admit(self, events: Iterable[Event]) -> list[Event]:
        """The events that may be applied now, in order.

        A refused event that comes again passes, and behind it, before anything that comes later, all that waited.
        Events that passed before may be given again: what was refused since then holds them.
        """
        if not self.blocked:
            return list(events)
        passing: list[Event] = []
        for event in events:
            self._step(event, passing)
        return passing

    def _step(self, event: Event, passing: list[Event]) -> None:
        subject = subject_of(event)
        refused = self.blocked.get(subject)
        if refused is None:
            self.held.pop(event.id, None)
            passing.append(event)
        elif refused == event.id:
            del self.blocked[subject]
            passing.append(event)
            behind = [held for held, waits_for in self.held.values() if waits_for == event.id]
            for held in [*self.waiting.pop(event.id, ()), *behind]:
                self._step(held, passing)
        else:
            first, _ = self.held.get(event.id, (event, refused))  # of its records: it says since when the event waits
            self.held[event.id] = (first if first.offset < event.offset else event), refused

    def refuse(self, event: Event) -> None:
        """Block the subject of an event that was refused by a fault of ours."""
        self.blocked[subject_of(event)] = event.id
