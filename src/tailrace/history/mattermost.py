"""Mattermost's history as contract events: a bulk export in, events out, the same export always the same events.

What the export leaves open, and what is done about it:

* Ids. It has none. Teams, channels and users are known by their names, direct channels by their members, a message by
  conversation, author and time, as Mattermost's own importer does; where two share all three, by their text as well.
  `server` keeps two servers with equal names apart. Somebody renamed between two exports becomes a second user.
* Workspaces are the teams. A direct channel belongs to the first team that all its members are in, else to the first.
* Times. Teams, users and memberships are as old as the first post of all, a channel as its own first post. A pin has
  no time and nobody who set it: it happened right after the message, by its author.
* Members are those whom the list of users names; posts about joining and leaving are system messages and no more.
* Edits. Only the last text is there: posted with it and edited to it at the time of the edit, which shows as edited and
  leaves no false history. Deleted posts are not in an export at all.
* Accounts with `delete_at`, bots too, are suspended, and members of nothing since then.
* What comes twice is made once: posts of equal place, author, time and text, and reactions of one user and emoji.
* Attachments are metadata: their size where the zip holds them. Props stay in `formatted_content`.
* Schemes, roles, custom emoji's pictures, favourites, flags, followers of threads, preferences and read positions are
  not imported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_DNS, uuid5

from tailrace.errors import InvalidInputError
from tailrace.history.generated import EventWriter, Generated, Moment
from tailrace.history.making import Ids, Maker, Place
from tailrace.history.mattermost_export import MattermostExport
from tailrace.history.mattermost_people import People
from tailrace.history.mattermost_posts import Posts
from tailrace.history.mattermost_rooms import Rooms
from tailrace.history.mattermost_survey import POSTS, place_of, survey
from tailrace.history.reading import UnreadableFileError
from tailrace.history.report import Report
from tailrace.history.values import EARLIEST_US

Progress = Callable[[int, int], None]
"""Called with the lines done and the lines in all."""
PROGRESS_LINES: Final = 1_000
PROVIDER: Final = "mattermost"


@dataclass(frozen=True, slots=True)
class MattermostOptions:
    """`server` is any name that is always used for the same server."""

    server: str = "mattermost"


def mattermost_events(
    export: MattermostExport, options: MattermostOptions, report: Report, progress: Progress | None = None
) -> Iterator[Generated]:
    """Give every event of an export, in an order in which they can be published; `report` is filled on the way.

    The export is read twice: once for teams, people and conversations, which come first, then for the posts, each
    followed by its edit, files, reactions, pin and replies. Memory holds people, conversations and names of files, and
    16 MiB that tell posts of equal name apart; no posts.

    Raises `InvalidInputError` (exit 6) where there is no team; lines that cannot be read are in the report.
    """
    found = survey(export, report)
    if not found.teams and not found.channels:
        raise InvalidInputError(f"{export.path} names no team", fix="export a team with its channels")
    ids = Ids(uuid5(uuid5(NAMESPACE_DNS, "mattermost.com"), options.server))
    maker = Maker(EventWriter(ids.namespace, "", f"/import/mattermost/{options.server}", report), PROVIDER)
    founded = Moment(found.founded or EARLIEST_US)
    people = People(found, ids, maker, founded)
    rooms = Rooms(found, ids, maker, people, founded)
    posts = Posts(export, found.repeats, ids, maker, people)
    report.workspace = {"team_id": options.server, "workspace_id": "", "name": ", ".join(people.teams)}
    yield from people.events()
    yield from rooms.events()
    tell = progress or _silent
    tell(0, found.lines)
    for done, line in enumerate(export.lines(), start=1):
        if done % PROGRESS_LINES == 0:
            tell(done, found.lines)
        if isinstance(line, UnreadableFileError) or line.kind not in POSTS:
            continue
        name = place_of(line)
        place: Place | None = rooms.place(name) if name else None
        if name is None or place is None:
            report.odd("post_without_channel", line.where)
        else:
            yield from posts.events(name, place, line)
    tell(found.lines, found.lines)


def _silent(*_: Any) -> None:
    """Tell nobody."""
