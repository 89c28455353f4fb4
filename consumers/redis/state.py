"""Whether the caches are complete, as the stores themselves say: marks that are lost with the keys.

A single server has one mark. A cluster has many, spread over the slots, so that each server has some: one that was
emptied has none left, and where slots move their marks move with them.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from redis.crc import key_slot

from tailrace.consumers.redis.nodes import SLOTS
from tailrace.consumers.redis.store import Store
from tailrace.projections.caches import Keys

MARKS: Final = 128
"""In a cluster. A server with fewer than 128 neighbouring slots may have none, and is noticed by its run id only."""
DOUBTED: Final = "doubted"


@dataclass(frozen=True, slots=True)
class Seen:
    """The marks as they were, and who had the keys at that time."""

    identity: str
    marks: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        """Whether they say that the caches were filled completely, on these very servers."""
        return all(_kind(mark) == "ready" and _identity(mark) == self.identity for mark in self.marks)

    @property
    def is_known(self) -> bool:
        """Whether any mark is of these servers."""
        return any(_identity(mark) == self.identity for mark in self.marks)

    @property
    def is_empty(self) -> bool:
        """Whether there is no mark at all."""
        return not any(self.marks)


class CacheState:
    """The marks of one instance."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self.names = tuple(f"{keys.state}:{{{tag}}}" for tag in _tags()) if store.is_cluster else (keys.state,)

    async def look(self) -> Seen:
        """Read the marks. Raises what `RETRYABLE` holds, also where the server is a replica by now."""
        identity = await self._store.identity()
        found = await self._store.run([("GET", name) for name in self.names], self.names)
        return Seen(identity, tuple(_text(value) for value in found))

    async def fill(self, generation: int, seen: Seen) -> bool:
        """Say that this generation is being filled; returns whether that was said of all of them before."""
        mark = _filling(generation, seen.identity)
        if all(held == mark for held in seen.marks):
            return True
        await self._store.run([("SET", name, mark) for name in self.names], self.names)
        return False

    async def finish(self, generation: int, seen: Seen) -> bool:
        """Say that the caches are complete; returns False where a mark was lost or changed since `fill`."""
        before, after = _filling(generation, seen.identity), f"ready:{generation}:{seen.identity}"
        answers = await self._store.call(("state_swap", (name,), (before, after)) for name in self.names)
        return all(answer == b"OK" for answer in answers)

    async def doubt(self, generation: int) -> bool:
        """Take back that the caches are complete, unless a later generation than this one filled them.

        For who wrote to a server that is not asked any more: a fill that began before may have missed that.
        """
        seen = await self.look()
        doubted = [
            ("state_swap", (name,), (mark, DOUBTED))
            for name, mark in zip(self.names, seen.marks, strict=True)
            if _identity(mark) == seen.identity and int(mark.split(":")[1]) <= generation
        ]
        await self._store.call(doubted)
        return bool(doubted)


@cache
def _tags() -> tuple[str, ...]:
    """Shortest numbers whose slots are those at equal distances."""
    wanted = set(range(0, SLOTS, SLOTS // MARKS))
    found: dict[int, str] = {}
    number = 0
    while len(found) < len(wanted):
        slot = key_slot(str(number).encode())
        if slot in wanted:
            found.setdefault(slot, str(number))
        number += 1
    return tuple(found[slot] for slot in sorted(found))


def _filling(generation: int, identity: str) -> str:
    return f"filling:{generation}:{identity}"


def _kind(mark: str) -> str:
    return mark.partition(":")[0]


def _identity(mark: str) -> str:
    return mark.partition(":")[2].partition(":")[2]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else ""
