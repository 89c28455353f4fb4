"""How long it takes until records are applied again after a fault: measured and printed, never a condition."""

import asyncio
import time
from collections import defaultdict

import psycopg

from tailrace.addresses import resolve
from tailrace.settings import Settings

POLL_S = 0.1
WATCHED_MAX_S = 60.0

Positions = dict[tuple[str, int], tuple[int, str | None]]
"""Next offset and owner, by topic and partition."""


class Recoveries:
    """Seconds by kind of fault. Where nothing was left to apply there is nothing to measure."""

    def __init__(self, settings: Settings, records: int) -> None:
        """`records` is how many will be published in all."""
        self._dsn = resolve(settings).postgres
        self._records = records
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    async def wait_for_owners(self, count: int) -> None:
        """Wait until so many workers own partitions: a fault that strikes before tries nothing. Gives up in silence."""
        begun = time.monotonic()
        while time.monotonic() - begun < WATCHED_MAX_S:
            if len({who for _, who in (await self._positions()).values() if who is not None}) >= count:
                return
            await asyncio.sleep(POLL_S)

    async def after_kill(self, owner: str) -> None:
        """Until somebody else applies records of a partition that a killed worker owned."""
        begun, before = time.monotonic(), await self._positions()
        owned = {place: offset for place, (offset, who) in before.items() if who == owner}
        while owned and time.monotonic() - begun < WATCHED_MAX_S:
            now = await self._positions()
            if any(
                now[place][0] > offset and now[place][1] != owner for place, offset in owned.items() if place in now
            ):
                self.seconds["kill"].append(time.monotonic() - begun)
                return
            await asyncio.sleep(POLL_S)

    async def after_restart(self, kind: str, projection: str = "postgres") -> None:
        """Until the projection applies any record once a server answers again."""
        begun, before = time.monotonic(), await self._positions(projection)
        while time.monotonic() - begun < WATCHED_MAX_S:
            now = await self._positions(projection)
            if any(offset > before.get(place, (0, None))[0] for place, (offset, _) in now.items()):
                self.seconds[kind].append(time.monotonic() - begun)
                return
            if projection == "postgres" and sum(offset for offset, _ in now.values()) >= self._records:
                return
            await asyncio.sleep(POLL_S)

    async def _positions(self, projection: str = "postgres") -> Positions:
        return await asyncio.to_thread(self._read, projection)

    def _read(self, projection: str) -> Positions:
        try:
            with psycopg.connect(self._dsn, connect_timeout=5) as connection:
                rows = connection.execute(
                    "SELECT topic, partition, next_offset, owner FROM runtime.progress WHERE projection = %s",
                    [projection],
                )
                return {(topic, partition): (offset, owner) for topic, partition, offset, owner in rows}
        except psycopg.OperationalError:
            return {}
