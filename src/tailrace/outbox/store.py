"""The outbox as its relay sees it: one connection, short statements, nothing that a pooler would lose."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import psycopg

from tailrace.errors import PreconditionError, UnreachableError
from tailrace.outbox.texts import statements

CONNECT_TIMEOUT_S: Final = 10
STATEMENT_TIMEOUT_S: Final = 30.0


class Row(NamedTuple):
    """One event that is due: its `position` and its text, a CloudEvent in JSON."""

    position: int
    event: str


@dataclass(frozen=True, slots=True)
class Mark:
    """All positions up to `position` were drawn by transactions with ids below `before`."""

    position: int
    before: int


class Store:
    """One outbox. A connection that fails is dropped, and the next call opens another.

    Works behind PgBouncer in transaction mode: nothing is prepared, no session state, every call is one transaction.
    All methods raise `UnreachableError` where the server does not answer, `PreconditionError` where there is no outbox.
    """

    def __init__(self, dsn: str, schema: str) -> None:
        self._dsn = dsn
        self._texts = statements(schema)
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def hold(self, owner: UUID, lease_s: float) -> bool:
        """Take or keep the lease for so long from now; False where another relay has it."""
        return bool(await self._fetch("hold", owner, lease_s))

    async def release(self, owner: UUID) -> None:
        """Give the lease back, if it is ours."""
        await self._fetch("release", owner)

    async def mark(self) -> tuple[Mark, int]:
        """Return how far positions were drawn, and below which id all transactions have ended.

        Two statements in this order: the snapshot must be the younger one.
        """
        position = (await self._fetch("last_position"))[0][0]
        ended, begun = (await self._fetch("horizon"))[0]
        return Mark(position, begun), ended

    async def ended_before(self) -> int:
        """Return the transaction id below which all transactions have ended."""
        return int((await self._fetch("horizon"))[0][0])

    async def due(self, after: int, until: int, limits: tuple[int, int]) -> list[Row]:
        """Return the first rows, in order of position; `limits`: so many rows, and bytes, but one row at least."""
        return [Row(*row) for row in await self._fetch("due", after, until, *limits)]

    async def acknowledge(self, positions: Sequence[int]) -> None:
        """Delete what is in the log."""
        await self._fetch("acknowledge", list(positions))

    async def refuse(self, position: int, code: str, reason: str) -> None:
        """Mark an event that does not fit the contract, so that it is passed over."""
        await self._fetch("refuse", position, code, reason)

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_S):
                if self._connection is None:
                    self._connection = await self._connect()
                cursor = await self._connection.execute(self._texts[name], arguments)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise PreconditionError("there is no outbox here", fix="tailrace outbox install --dsn …") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise PreconditionError(f"the relay's role may not use the outbox: {error}") from error
        except (psycopg.Error, OSError, TimeoutError) as error:
            # Shutting down, too many connections, a pooler's own words: all pass.
            await self._drop()
            raise UnreachableError(
                f"PostgreSQL: {type(error).__name__}", fix="check the address and the server"
            ) from error

    async def _connect(self) -> Any:
        # psycopg, as it sends a statement and its values in one message: asyncpg takes two, and a pooler in transaction
        # mode may give the second to another session.
        return await psycopg.AsyncConnection.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            prepare_threshold=None,
            application_name="tailrace-outbox",
            cursor_factory=psycopg.AsyncRawCursor,
        )

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()
