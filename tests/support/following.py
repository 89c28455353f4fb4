"""A story told bit by bit: each bit is applied to the tables and to the indices."""

from typing import Any

from contract_events import CloudEvent, in_world
from read_models import Log, Reader, log_of, partition_of
from searched import Searched


class Story:
    """What was told so far, and the indices that follow it."""

    def __init__(self, searched: Searched) -> None:
        self.searched = searched
        self._events: list[CloudEvent] = []

    @property
    def log(self) -> Log:
        return log_of(self._events, self.searched.settings)

    def more(self, *events: CloudEvent) -> Log:
        """Publish; the caller applies what it is given, e.g. to the tables only."""
        known = len(self._events)
        self._events += [in_world(event) for event in events]
        return self.log[known:]

    async def tell(self, *events: CloudEvent, jobs: bool = True) -> None:
        """Publish, apply everywhere and, unless told otherwise, do the jobs that come of it."""
        new = self.more(*events)
        await self.searched.models.apply([new])
        await self.follow(new)
        if jobs:
            await self.searched.jobs()

    async def follow(self, new: Log) -> None:
        """Apply to the indices what the tables have."""
        sink = self.searched.sink()
        try:
            reader = Reader(self.searched.models, sink)
            await reader.claim({partition_of(record) for record in new})
            await sink.apply(reader.batch(new))
        finally:
            await sink.close()

    def differences(self) -> dict[str, Any]:
        """What searches find wrongly by now."""
        return self.searched.differences(self.log)
