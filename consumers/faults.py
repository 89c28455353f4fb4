"""What an error says about an event: that the store or a projection cannot take it, or nothing at all."""

import traceback
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from tailrace.consumers.errors import RefusedByStoreError
from tailrace.errors import TailraceError
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.refusals import RefusalCode

_NOT_THE_EVENT: Final = ("08", "28", "3D", "3F", "42", "53", "57", "58")
"""Classes of SQLSTATE that no event causes: connections, permissions, missing or changed tables, resources."""

_OURS: Final = frozenset({"consumers", "projections", "schemas"})


class Fault(NamedTuple):
    """Why an event that fits the contract cannot be applied. `reason` quotes nothing of the event."""

    code: RefusalCode
    reason: str

    def refusal_of(self, event: Event) -> Refusal:
        """The refusal that a dead letter of this event keeps."""
        return Refusal(self.code, self.reason, event.type, event.id, event.data.get("workspace_id"))


def fault_of(error: Exception) -> Fault | None:
    """The fault that an error shows; None where it is no event's: then nothing may be refused for it.

    Messages of drivers and exceptions are left out, for they quote values.
    """
    if isinstance(error, RefusedByStoreError):
        return Fault(RefusalCode.E_STORE, f"the store refused it: {error.kind} ({error.sqlstate})")
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or "client"
        if sqlstate.startswith(_NOT_THE_EVENT):
            return None
        return Fault(RefusalCode.E_STORE, f"the store refused it: {type(error).__name__} ({sqlstate})")
    if isinstance(error, TailraceError | MemoryError):
        return None
    return Fault(RefusalCode.E_PROJECTION, f"{type(error).__name__} at {_place(error)}")


def _place(error: Exception) -> str:
    """File and line of our own code where it failed."""
    place = "an unknown place"
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if ours := [part for part in path.parts[:-1] if part in _OURS]:
            place = "/".join((*path.parts[path.parts.index(ours[-1]) :],)) + f":{frame.lineno}"
    return place
