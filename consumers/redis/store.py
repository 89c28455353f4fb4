"""Redis as the caches use it: one library of functions, many calls at once, one connection each time.

Commands are packed and sent by redis-py's own connections instead of its pipelines: measured half the client time, and
reconnecting, TLS and authentication stay the library's. A call that is cancelled or fails drops its connection: a reply
that nobody read would be taken for the next one's.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from importlib.resources import files
from typing import Any, Final

import structlog
from redis.exceptions import AskError, MovedError, ReadOnlyError, ResponseError, TryAgainError

from tailrace.consumers.redis.calls import Argument, Call, command, groups
from tailrace.consumers.redis.nodes import RETRYABLE, Node, Nodes
from tailrace.errors import PreconditionError

__all__ = ["RETRYABLE", "Argument", "Call", "Store"]

log = structlog.get_logger()

CALLS_MAX: Final = 1_000
"""Calls that are sent before their answers are read."""
NAMES_MAX: Final = 200
"""Keys that one command reads."""
GUARDS_MAX: Final = 100
"""Guards that one command makes (a fraction of a millisecond)."""
OLDER_COUNT: Final = 400
"""Keys that the server looks at in one step of a scan (about 1 ms)."""
REDIRECTS_MAX: Final = 8
"""Times that a command is sent elsewhere, or again while its keys are being moved."""
PAUSE_S: Final = 0.02
"""Before what met keys that are being moved is sent again; each time longer."""


def _library() -> tuple[str, str]:
    """Name and text of the function library; the name follows from the text, so versions live side by side."""
    text = (files("tailrace.consumers.redis") / "tailrace.lua").read_text(encoding="utf-8")
    name = f"tailrace_{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
    return name, text.replace("@library@", name)


LIBRARY_NAME, LIBRARY_TEXT = _library()


class Store:
    """The server (or cluster) at one address. Raises what `RETRYABLE` holds where it does not answer."""

    def __init__(self, url: str, *, cluster: bool = False) -> None:
        self.is_cluster = cluster
        self._nodes = Nodes(url, cluster=cluster)

    async def call(self, calls: Iterable[Call]) -> list[Any]:
        """Answers of function calls, in their order. A function that failed raises `ResponseError`."""
        those = [[call] for call in calls] if self.is_cluster else list(groups(calls))
        commands = [command(group, LIBRARY_NAME) for group in those]
        answers: list[Any] = []
        for group, answer in zip(those, await self.run(commands, [each[3] for each in commands]), strict=True):
            answers += answer if isinstance(answer, list) else [answer] * len(group)
        return answers

    async def run(self, commands: Sequence[Sequence[Argument]], keys: Sequence[Any]) -> list[Any]:
        """Answers of commands; `keys` names for each of them a key of the slot it belongs to.

        Where slots move meanwhile, some commands come later than others that follow them.
        """
        answers: list[Any] = [None] * len(commands)
        left: Collection[int] = range(len(commands))
        for attempt in range(REDIRECTS_MAX):
            for node, places in (await self._by_node(keys, left)).items():
                found = await self._send(node, [commands[place] for place in places])
                for place, answer in zip(places, found, strict=True):
                    answers[place] = answer
            await self._follow(commands, left, answers)
            left = [place for place in left if isinstance(answers[place], MovedError | TryAgainError)]
            if not left:
                break
            if any(isinstance(answers[place], TryAgainError) for place in left):
                await asyncio.sleep(PAUSE_S * (attempt + 1))
        return self._settled(answers)

    async def strings(self, names: Sequence[str] | Sequence[bytes]) -> list[bytes | None]:
        """Strings at these keys; None where there is none, or something of another type."""
        size = 1 if self.is_cluster else NAMES_MAX
        those = [names[start : start + size] for start in range(0, len(names), size)]
        answers = await self.run([("MGET", *part) for part in those], [part[0] for part in those])
        return [value for answer in answers for value in answer]

    async def make_guards(self, names: Sequence[str]) -> None:
        """Make those of these guards that are missing. They have no end until their keys are written."""
        size = 1 if self.is_cluster else GUARDS_MAX
        those = [names[start : start + size] for start in range(0, len(names), size)]
        name = f"{LIBRARY_NAME}_guards_make"
        await self.run([("FCALL", name, len(part), *part) for part in those], [part[0] for part in those])

    async def one(self, *command: Argument, key: str) -> Any:
        """Answer of one command about one key."""
        return (await self.run([command], [key]))[0]

    async def everywhere(self, *command: Argument) -> list[Any]:
        """Answers of one command by every primary node."""
        return [self._settled(await self._send(node, [command]))[0] for node in await self._nodes.primaries()]

    async def scan(self, match: str, count: int = 1_000) -> AsyncGenerator[list[bytes], None]:
        """Keys by pattern, page by page; some may come twice, and those made or moved meanwhile may be missing."""
        for node in await self._nodes.primaries():
            cursor: bytes = b"0"
            while True:
                scan = ("SCAN", cursor, "MATCH", match, "COUNT", count)
                cursor, page = self._settled(await self._send(node, [scan]))[0]
                yield page
                if cursor in {b"0", "0"}:
                    break

    async def scan_older(self, match: str, prefix: str, generation: int) -> AsyncGenerator[list[bytes], None]:
        """Keys by pattern as `scan` does, but at least those that no generation since has written, page by page.

        In a cluster all of them; elsewhere few others, as the server itself looks at their guards.
        """
        if self.is_cluster:
            async with aclosing(self.scan(match)) as pages:
                async for page in pages:
                    yield page
            return
        cursor: bytes = b"0"
        while True:
            step = (cursor, match, prefix, f"{generation:06d}", OLDER_COUNT)
            cursor, *page = await self.one("FCALL", f"{LIBRARY_NAME}_older", 0, *step, key=prefix)
            yield page
            if cursor == b"0":
                break

    async def identity(self) -> str:
        """Who has the keys: another answer means a restart or a fail-over, after which anything may be missing.

        The run id of each primary, and the replication id it began with: that one is new also where a server has become
        a replica and primary again. Raises `ReadOnlyError` where we are still connected to a primary of before.
        """
        self._nodes.forget()
        found = []
        for text in await self.everywhere("INFO", "server", "replication"):
            told = dict(line.partition(":")[::2] for line in text.decode().splitlines())
            if told.get("role") != "master":
                await self._nodes.idle_connections_dropped()
                raise ReadOnlyError("connected to a replica")
            found.append(f"{told['run_id']}.{told.get('master_replid', '')}")
        return ",".join(sorted(found))

    async def check_policy(self) -> None:
        """Raise `PreconditionError` where a server evicts keys that have no lifetime: lists would just vanish.

        So, too, where the settings do not say that it belongs to a cluster: a key and its guard would be apart.
        """
        for text in await self.everywhere("INFO", "memory", "cluster"):
            told = dict(line.partition(":")[::2] for line in text.decode().splitlines())
            policy = told.get("maxmemory_policy", "")
            if policy.startswith("allkeys"):
                raise PreconditionError(
                    f"Redis evicts keys without a lifetime ({policy})",
                    fix="set maxmemory-policy to noeviction or one of volatile-*",
                )
            if told.get("cluster_enabled") == "1" and not self.is_cluster:
                raise _is_clustered()

    async def close(self) -> None:
        """Close all connections."""
        await self._nodes.close()

    async def _by_node(self, keys: Sequence[Any], places: Iterable[int]) -> dict[Node, list[int]]:
        if not self.is_cluster:
            return {None: list(places)} if keys else {}
        found: dict[Node, list[int]] = {}
        for place in places:
            found.setdefault(await self._nodes.owner(_bytes(keys[place])), []).append(place)
        return found

    async def _follow(self, commands: Sequence[Sequence[Argument]], places: Iterable[int], answers: list[Any]) -> None:
        """Take note of new owners; send what met a slot on its way to where the slot goes."""
        if not self.is_cluster:
            return
        asked: dict[Node, list[int]] = {}
        for place in places:
            answer = answers[place]
            if isinstance(answer, MovedError):
                self._nodes.moved(answer)
            elif isinstance(answer, AskError):
                asked.setdefault((answer.host, answer.port), []).append(place)
        for node, those in asked.items():
            found = await self._send(node, [commands[place] for place in those], is_asking=True)
            for place, answer in zip(those, found, strict=True):
                answers[place] = answer

    async def _send(self, node: Node, commands: Sequence[Sequence[Argument]], *, is_asking: bool = False) -> list[Any]:
        """Answers of one server, page by page; where it lacks our functions they are loaded."""
        answers: list[Any] = []
        for start in range(0, len(commands), CALLS_MAX):
            part = commands[start : start + CALLS_MAX]
            found = await self._exchange(node, part, is_asking=is_asking)
            again = [place for place, answer in enumerate(found) if _is_unknown_function(answer)]
            if again:
                log.info("functions_loaded", library=LIBRARY_NAME)
                self._settled(await self._nodes.exchange(node, [("FUNCTION", "LOAD", "REPLACE", LIBRARY_TEXT)]))
                late = await self._exchange(node, [part[place] for place in again], is_asking=is_asking)
                for place, answer in zip(again, late, strict=True):
                    found[place] = answer
            answers += found
        return answers

    async def _exchange(self, node: Node, commands: Sequence[Sequence[Argument]], *, is_asking: bool) -> list[Any]:
        if not is_asking:
            return await self._nodes.exchange(node, commands)
        both = [one for command in commands for one in (("ASKING",), command)]
        return (await self._nodes.exchange(node, both))[1::2]

    def _settled(self, answers: list[Any]) -> list[Any]:
        """Return the answers; raise the first that is an error."""
        for answer in answers:
            if isinstance(answer, MovedError) and not self.is_cluster:
                raise _is_clustered() from answer
            if isinstance(answer, Exception):
                if isinstance(answer, RETRYABLE):
                    self._nodes.forget()
                raise answer
        return answers


def _is_clustered() -> PreconditionError:
    return PreconditionError("this Redis is a cluster", fix="TAILRACE_REDIS__CLUSTER=true")


def _is_unknown_function(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and "Function not found" in str(answer)


def _bytes(key: Any) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode()
