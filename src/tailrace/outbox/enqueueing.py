"""Enqueueing from Python: checked like the relay and every consumer check, inside the caller's own transaction."""

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol, Unpack
from uuid import UUID

from tailrace.outbox.texts import DEFAULT_SCHEMA
from tailrace.producer.clock import HybridClock, wall_clock_us
from tailrace.producer.ids import EventIds
from tailrace.producer.stamping import Attributes, Draft, Publishable, Stamper, type_of
from tailrace.schemas.fields import Data
from tailrace.sql.rendering import quoted

_CENTURY_S: Final = 3.2e9
_ARGUMENTS: Final = {
    "type": "text",
    "subject": "text",
    "data": "json",
    "source": "text",
    "id": "uuid",
    "time": "timestamptz",
    "sequence": "bigint",
    "schemaversion": "integer",
    "workspaceid": "uuid",
    "correlationid": "text",
    "causationid": "text",
}


class PsycopgConnection(Protocol):
    """A psycopg connection or cursor."""

    def execute(self, query: Any, params: Any = None, /) -> Any:
        """Run a statement."""


class AsyncPsycopgConnection(Protocol):
    """An asynchronous psycopg connection or cursor."""

    async def execute(self, query: Any, params: Any = None, /) -> Any:
        """Run a statement."""


class AsyncpgConnection(Protocol):
    """An asyncpg connection, or one of a pool."""

    async def execute(self, query: str, *args: Any) -> Any:
        """Run a statement."""


class Outbox:
    """Puts events into the outbox of the caller's database.

    `Outbox(source="/billing").enqueue(connection, "collab.message.posted", {...})`: the event is in the log soon after
    the transaction of `connection` was committed, and never if it was rolled back. Nothing here begins or ends one.
    Each method returns the event's id and raises `EventRefused`, before anything is sent to the database, where the
    event does not fit the contract.

    `event`, `data` and `attributes` are those of `Producer.publish`. A `time` or `sequence` that is not given is the
    database server's: one clock for all the producers of a subject. `schema` is where the outbox was installed.
    """

    def __init__(
        self,
        *,
        source: str,
        schema: str = DEFAULT_SCHEMA,
        now_us: Callable[[], int] = wall_clock_us,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        # The clock only fills a field that must be there to be checked: no drift of it matters.
        clock = HybridClock(now_us=now_us, drift_max_s=_CENTURY_S)
        self._stamper = Stamper(source, str, clock, EventIds(now_us=now_us, random_bits=random_bits), now_us)
        named = [f'"{name}" => {{}}::{kind}' for name, kind in _ARGUMENTS.items()]
        call = f"SELECT {quoted(schema)}.outbox_publish({', '.join(named)})"
        self._psycopg = call.replace("%", "%%").format(*["%s"] * len(named))
        self._asyncpg = call.format(*(f"${number}" for number in range(1, len(named) + 1)))

    def arguments(
        self, event: Publishable | str, data: Mapping[str, Any] | Data | None = None, **attributes: Unpack[Attributes]
    ) -> list[Any]:
        """Check an event and return the arguments of `outbox_publish`, in its order; raises `EventRefused`."""
        draft = _draft(event, data, attributes)
        record = self._stamper.record(draft)
        checked = json.loads(record.value)
        given: Mapping[str, Any] = draft.attributes if isinstance(draft, Draft) else draft
        for name in ("time", "sequence"):
            if given.get(name) is None:
                checked[name] = None
        checked["sequence"] = None if checked["sequence"] is None else int(checked["sequence"])
        checked["time"] = None if checked["time"] is None else _instant(checked["time"])
        checked["data"] = json.dumps(checked["data"])
        checked["schemaversion"] = checked.get("schemaversion") or 1
        checked["id"], workspace = UUID(checked["id"]), checked.get("workspaceid")
        checked["workspaceid"] = None if workspace is None else UUID(workspace)
        return [checked.get(name) for name in _ARGUMENTS]

    def enqueue(
        self,
        connection: PsycopgConnection,
        event: Publishable | str,
        data: Mapping[str, Any] | Data | None = None,
        **attributes: Unpack[Attributes],
    ) -> UUID:
        """Enqueue in the transaction of a psycopg connection."""
        arguments = self.arguments(event, data, **attributes)
        connection.execute(self._psycopg, arguments)
        return _id(arguments)

    async def enqueue_async(
        self,
        connection: AsyncPsycopgConnection,
        event: Publishable | str,
        data: Mapping[str, Any] | Data | None = None,
        **attributes: Unpack[Attributes],
    ) -> UUID:
        """Enqueue in the transaction of an asynchronous psycopg connection."""
        arguments = self.arguments(event, data, **attributes)
        await connection.execute(self._psycopg, arguments)
        return _id(arguments)

    async def enqueue_asyncpg(
        self,
        connection: AsyncpgConnection,
        event: Publishable | str,
        data: Mapping[str, Any] | Data | None = None,
        **attributes: Unpack[Attributes],
    ) -> UUID:
        """Enqueue in the transaction of an asyncpg connection."""
        arguments = self.arguments(event, data, **attributes)
        await connection.execute(self._asyncpg, *arguments)
        return _id(arguments)


def _draft(
    event: Publishable | str, data: Mapping[str, Any] | Data | None, attributes: Attributes
) -> Draft | Mapping[str, Any]:
    if isinstance(event, str):
        return Draft(event, {} if data is None else data, attributes)
    return Draft(type_of(event), event, attributes) if isinstance(event, Data) else event


def _id(arguments: list[Any]) -> UUID:
    found = arguments[list(_ARGUMENTS).index("id")]
    return found if isinstance(found, UUID) else UUID(found)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())
