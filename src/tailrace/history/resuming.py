"""Going on where an import stopped: how many of its events are in the log, kept in a file.

An export makes the same events in the same order every time, so a count says which ones are done. The id of the last
of them tells whether it is still the same export.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from tailrace.errors import InvalidInputError, PreconditionError

SAVED_EVERY_EVENTS: Final = 2_000
"""At most so many events are sent a second time, under the ids they have."""


class Checkpoint:
    """How far an import came: `done` events, the last of which has the id `last_id`.

    Raises `InvalidInputError` for a file that is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = 0
        self.done = 0
        self.last_id: str | None = None
        if path.exists():
            try:
                state = orjson.loads(path.read_bytes())
                self.done, self.last_id = int(state["done"]), str(state["last_id"])
            except (OSError, ValueError, TypeError, KeyError):
                raise InvalidInputError(f"{path} does not hold how far an import came", fix="remove it") from None
            self._saved = self.done

    def rest(self, events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Give the events that are not done; raises `PreconditionError` where the file is of another export."""
        last = None
        for count in range(self.done):
            last = next(events, None)
            if last is None or (count + 1 == self.done and last["id"] != self.last_id):
                raise PreconditionError(
                    f"{self._path} is of another import, or the export has changed",
                    fix=f"remove {self._path}: nothing is imported twice",
                )
        yield from events

    def note(self, event_id: str | None) -> None:
        """Count the next event as done, and remember it now and then."""
        self.done += 1
        self.last_id = event_id
        if self.done - self._saved >= SAVED_EVERY_EVENTS:
            self.save()

    def save(self) -> None:
        """Remember how far it is now; a crash leaves the file as it was before or as it is after."""
        if self.done == self._saved:
            return
        part = self._path.with_name(f"{self._path.name}.part")
        with part.open("wb") as file:
            file.write(orjson.dumps({"done": self.done, "last_id": self.last_id}))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        self._saved = self.done
