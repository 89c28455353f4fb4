"""Messages whose text is too long for the index of collab.messages: they lie in collab.messages_archive.

Every partition of collab.messages has an index over to_tsvector('english', content), and a text vector ends at 1 MiB: a
legal message of many different words makes a larger one, and PostgreSQL refuses the row. The archive has the same
columns and no such index, and whoever reads messages reads both (ruling 38). What lies there, for its length or because
retention moved it, goes on being edited, reacted to and counted: see `Session.fetch_of_messages`.
"""

from collections.abc import Iterable

import asyncpg

from tailrace.consumers.postgres.session import Session
from tailrace.projections.registers import Row

INDEXABLE_CHARACTERS = 32_768
"""A text of so few characters always fits, whatever they are; of a longer one the server is asked."""


async def too_long(session: Session, rows: Iterable[Row]) -> list[Row]:
    """Those of the messages whose text the index cannot hold."""
    candidates = [row for row in rows if len(row["content"]) > INDEXABLE_CHARACTERS]
    return [row for row in candidates if not await _is_indexable(session, row["content"])]


async def _is_indexable(session: Session, text: str) -> bool:
    await session.connection.execute("SAVEPOINT text")
    try:
        await session.fetch("make_text_vector", text)
    except asyncpg.ProgramLimitExceededError:
        await session.connection.execute("ROLLBACK TO SAVEPOINT text")
        return False
    await session.connection.execute("RELEASE SAVEPOINT text")
    return True


async def open_archive(session: Session, rows: Iterable[Row]) -> None:
    """Make the archive's months that these messages fall into. Locks it against others who make months until COMMIT."""
    months = sorted({row["created_at"].date().replace(day=1) for row in rows})
    await session.fetch("ensure_archive_months", session.statements.render("collab.messages_archive"), months)
    session.has_archive = True


async def put_away(session: Session, rows: Iterable[Row]) -> None:
    """Move stored messages that are about to become too long into the archive, as they are."""
    moved = await too_long(session, rows)
    if moved:
        await open_archive(session, moved)
        keys = [row["message_id"] for row in moved], [row["created_at"] for row in moved]
        await session.fetch("archive_messages", *keys)
