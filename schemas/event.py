"""What decoding a record gives to everything behind it: an Event, or a Refusal that says why not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tailrace.schemas.refusals import RefusalCode


class Event(msgspec.Struct, gc=False):
    """One event as projections see it: validated, upcast to the current version of its type, scrubbed.

    `data` holds every field of the type's model and nothing else: ids are canonical lower-case `str`, times aware
    UTC `datetime`, and an optional field that was absent or null is there as None. No string in it, keys of free
    objects included, holds a NUL or a lone surrogate. The envelope's `workspaceid` and `subject` are not checked
    against `data`; `data` counts (ruling 79). `topic` is the name without its prefix.

    A struct, which is made in a third of a dataclass's time. Nothing in it leads back to it, so the collector of cycles
    need not know of it.
    """

    type: str
    id: str
    sequence: int
    time: datetime
    data: dict[str, Any]
    source: str
    subject: str
    schemaversion: int
    workspaceid: str | None
    correlationid: str | None
    causationid: str | None
    topic: str = ""
    partition: int = -1
    offset: int = -1
    appended_at: datetime | None = None


@dataclass(slots=True, frozen=True)
class Refusal:
    """Why a record is a dead letter; says where and what was expected, never what was found (rule X).

    `event_id` and `workspace_id` are given only when they are canonical UUIDs, `event_type` only when it is at most
    200 printable ASCII characters, so all three fit any store and any terminal.
    """

    code: RefusalCode
    reason: str
    event_type: str | None
    event_id: str | None
    workspace_id: str | None
