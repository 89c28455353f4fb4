"""The documents that a job goes through, in the order of keys, so that it can go on where it stopped."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tailrace.consumers.search.layout import Document
from tailrace.consumers.search.reading import Database, Pairs, documents

NO_ID: Final = "00000000-0000-0000-0000-000000000000"
"""Before every id. UUIDs of nothing but zeros are no ids of anybody's."""
LATEST: Final = "infinity"
STEPS_MAX: Final = 1_000
"""Statements that one page takes at most to find its ids: its snapshot must not last for minutes."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of document of a subject, page by page. With `outer`, page after page for each of its values.

    `is_along_index` says that an index has the page's order.
    """

    alias: str
    page: str
    start: tuple[str, ...]
    outer: str | None = None
    has_subject: bool = True
    is_along_index: bool = True


# By channel alone: what else may be in it is another workspace's, and written where that is.
_MESSAGES_OF_WORKSPACE: Final = Stage(
    "messages", "messages_of_channel_page", (LATEST,), outer="channel_of_workspace_next", has_subject=False
)

WALKS: Final[Mapping[str, tuple[Stage, ...]]] = {
    "user": (
        Stage("users", "members_of_user_page", (NO_ID,)),
        Stage("messages", "messages_of_user_page", (LATEST,), outer="workspace_of_user_next"),
        Stage("files", "files_of_user_page", (NO_ID,), is_along_index=False),
        Stage("messages", "messages_reacted_by_user_page", (NO_ID,), is_along_index=False),
        Stage("messages", "messages_with_files_of_user_page", (NO_ID,), is_along_index=False),
    ),
    "channel": (Stage("messages", "messages_of_channel_page", (LATEST,)),),
    "workspace": (
        Stage("users", "members_of_workspace_page", (NO_ID,)),
        Stage("files", "files_of_workspace_page", (NO_ID,)),
        _MESSAGES_OF_WORKSPACE,
    ),
    "move": (_MESSAGES_OF_WORKSPACE,),
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


@dataclass
class Page:
    """Ids of documents, by kind."""

    messages: set[str] = field(default_factory=set)
    files: Pairs = field(default_factory=set)
    members: Pairs = field(default_factory=set)

    def take(self, alias: str, rows: Iterable[Any]) -> None:
        """Add what a page's statement found."""
        if alias == "messages":
            self.messages |= {row["message_id"] for row in rows}
        elif alias == "files":
            self.files |= {(row["workspace_id"], row["file_id"]) for row in rows}
        else:
            self.members |= {(row["workspace_id"], row["user_id"]) for row in rows}

    def __len__(self) -> int:
        return len(self.messages) + len(self.files) + len(self.members)


async def next_page(
    database: Database, walk: str, subject: str, position: Position, size: int
) -> tuple[list[Document], Position | None]:
    """The documents of the next page, as they are now, and where the page after it begins; None: nothing is left.

    Must be called inside a snapshot. A page goes on over stages and outer values until it is full: a workspace may have
    tens of thousands of channels with a few messages each, and every page costs a write and a commit. It may be empty
    although more follow, where it came upon many outer values that hold nothing.
    """
    stages, page, following = WALKS[walk], Page(), position
    for _ in range(STEPS_MAX):
        if following.stage >= len(stages) or len(page) >= size:
            break
        # Where the planner takes a channel for small, it would sort all that is left of it for every page.
        await database.set_locally("enable_sort", is_on=not stages[following.stage].is_along_index)
        following = await _step(database, walk, subject, following, size - len(page), page)
    await database.set_locally("enable_sort", is_on=True)
    found = await documents(database, page.messages, page.files, page.members)
    return found, following if following.stage < len(stages) else None


async def _step(database: Database, walk: str, subject: str, position: Position, room: int, page: Page) -> Position:
    """Take up to `room` ids of one stage, or of one of its outer values, into the page; returns where it goes on."""
    stage, outer = WALKS[walk][position.stage], position.outer
    if stage.outer is not None and position.after is None:
        outer = (await database.fetch(stage.outer, subject, outer or NO_ID))[0][0]
        if outer is None:
            return Position(position.stage + 1)
    arguments: list[Any] = [subject] if stage.has_subject else []
    arguments += [outer] if stage.outer is not None else []
    rows = await database.fetch(stage.page, *arguments, *(position.after or stage.start), room)
    page.take(stage.alias, rows)
    if len(rows) >= room:
        return Position(position.stage, outer, tuple(rows[-1]["after"]))
    return replace(position, outer=outer, after=None) if stage.outer else Position(position.stage + 1)
