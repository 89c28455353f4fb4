"""The documents that a job goes through, in the order of keys, so that it can go on where it stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tailrace.consumers.search.layout import Document
from tailrace.consumers.search.reading import Database, documents

NO_ID: Final = "00000000-0000-0000-0000-000000000000"
"""Before every id. UUIDs of nothing but zeros are no ids of anybody's."""
LATEST: Final = "infinity"


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of document of a subject, page by page. With `outer`, page after page for each of its values."""

    alias: str
    page: str
    start: tuple[str, ...]
    outer: str | None = None
    has_subject: bool = True


WALKS: Final[Mapping[str, tuple[Stage, ...]]] = {
    "user": (
        Stage("users", "members_of_user_page", (NO_ID,)),
        Stage("messages", "messages_of_user_page", (LATEST,), outer="workspace_of_user_next"),
        Stage("files", "files_of_user_page", (NO_ID,)),
        Stage("messages", "messages_reacted_by_user_page", (NO_ID,)),
        Stage("messages", "messages_with_files_of_user_page", (NO_ID,)),
    ),
    "channel": (Stage("messages", "messages_of_channel_page", (LATEST,)),),
    "workspace": (
        Stage("users", "members_of_workspace_page", (NO_ID,)),
        Stage("files", "files_of_workspace_page", (NO_ID,)),
        Stage("messages", "messages_of_channel_in_workspace_page", (LATEST,), outer="channel_of_workspace_next"),
    ),
    "move": (Stage("messages", "messages_of_channel_in_workspace_page", (LATEST,), outer="channel_of_workspace_next"),),
    "messages": (Stage("messages", "messages_page", (NO_ID,), has_subject=False),),
    "files": (Stage("files", "files_page", (NO_ID, NO_ID), has_subject=False),),
    "users": (Stage("users", "members_page", (NO_ID, NO_ID), has_subject=False),),
}
"""What belongs to a user, a channel, a workspace; what moves with a workspace; everything behind an alias."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a walk is. `outer` is the value being gone through, `after` the key behind which its next page begins."""

    stage: int = 0
    outer: str | None = None
    after: tuple[str, ...] | None = None

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Position":
        """From JSON; an empty object is the beginning."""
        after = stored.get("after")
        return cls(stored.get("stage", 0), stored.get("outer"), None if after is None else tuple(after))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"stage": self.stage, "outer": self.outer, "after": self.after}


async def next_page(
    database: Database, walk: str, subject: str, position: Position, size: int
) -> tuple[list[Document], Position | None]:
    """The documents of the next page, as they are now, and where the page after it begins; None: nothing is left.

    Must be called inside a snapshot. A page may be empty although more follow.
    """
    stages = WALKS[walk]
    if position.stage >= len(stages):
        return [], None
    stage = stages[position.stage]
    outer = position.outer
    if stage.outer is not None and position.after is None:
        rows = await database.fetch(stage.outer, subject, outer or NO_ID)
        outer = rows[0][0] if rows else None
        if outer is None:
            return [], Position(position.stage + 1)
    arguments: list[Any] = [subject] if stage.has_subject else []
    arguments += [outer] if stage.outer is not None else []
    rows = await database.fetch(stage.page, *arguments, *(position.after or stage.start), size)
    if not rows:
        following = replace(position, outer=outer, after=None) if stage.outer else Position(position.stage + 1)
        return [], following
    return await _documents(database, stage.alias, rows), Position(position.stage, outer, tuple(rows[-1]["after"]))


async def _documents(database: Database, alias: str, rows: list[Any]) -> list[Document]:
    if alias == "messages":
        return await documents(database, messages={row["id" if "id" in row else "message_id"] for row in rows})
    pairs = {(row[0], row[1]) for row in rows}
    if alias == "files":
        return await documents(database, files=pairs)
    return await documents(database, members=pairs)
