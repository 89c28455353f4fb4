"""Which versions there are, and the switches between them: rows of `runtime.versions` and `runtime.cutovers`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tailrace.errors import NotFoundError, PreconditionError
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names


@dataclass(frozen=True, slots=True)
class Version:
    """One row. `state` is filling, ready, live, kept or dropped; times are aware UTC."""

    version: int
    state: str
    reason: str
    created_by: str
    created_at: datetime
    ready_at: datetime | None
    live_at: datetime | None
    kept_until: datetime | None
    dropped_at: datetime | None
    comparison: dict[str, Any] | None

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cutover:
    """One switch. `search` maps an alias to (generation before, since); `finished_at` None: followers are at it."""

    cutover_id: int
    from_version: int
    to_version: int
    is_rollback: bool
    actor: str
    reason: str
    positions: dict[str, dict[str, int]]
    search: dict[str, list[int]]
    cache_generation: int | None
    held_ms: int
    at: datetime
    finished_at: datetime | None

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one instance, on a connection of the caller's."""

    conn: psycopg.Connection[Any]
    settings: Settings

    def all(self) -> list[Version]:
        """Every version, dropped ones too, in order. Raises `PreconditionError` where migrations are missing."""
        return [Version(**row) for row in self.run("versions")]

    def live(self) -> Version:
        """The one that has the settings' names."""
        return next(one for one in self.all() if one.state == "live")

    def building(self) -> Version | None:
        """The one that is being filled, or waits to be switched to."""
        return next((one for one in self.all() if one.state in {"filling", "ready"}), None)

    def kept(self) -> list[Version]:
        """Those that were live and can be gone back to, newest first."""
        return [one for one in reversed(self.all()) if one.state == "kept"]

    def named(self, version: int) -> Version:
        """One by its number. Raises `NotFoundError`."""
        for one in self.all():
            if one.version == version:
                return one
        raise NotFoundError(f"there is no version {version}", fix="tailrace rebuild status")

    def begin(self, reason: str, actor: str) -> int:
        """Number of a new version, put down as being filled. Raises `PreconditionError` where there is one already."""
        try:
            return int(self.run("begin_version", reason, actor)[0]["version"])
        except psycopg.errors.UniqueViolation as error:
            raise PreconditionError("another version is being made", fix="tailrace rebuild status") from error

    def cutovers(self, limit: int = 20) -> list[Cutover]:
        """The newest switches, newest first."""
        return [Cutover(**row) for row in self.run("cutovers", limit)]

    def run(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run a query of `sql/queries/versions.sql`; its rows."""
        text = render(queries("versions")[query], schema_names(self.settings.postgres))
        adapted = [Jsonb(value) if isinstance(value, dict) else value for value in parameters]
        try:
            cursor = psycopg.RawCursor(self.conn, row_factory=dict_row).execute(text.encode(), adapted or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.errors.UndefinedTable as error:
            raise PreconditionError("the database has no table of versions yet", fix="tailrace db migrate") from error
