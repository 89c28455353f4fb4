"""Zulip's history as contract events: a realm's export in, events out, the same export always the same events.

What the export leaves open, and what is done about it:

* Ids are Zulip's, in the namespace of the realm's uuid (older exports: of its `string_id`), so a later export of the
  same realm makes the same ones.
* A topic is a thread: its first message is the root, all later ones of that topic are replies. Topics differ without
  case, as in Zulip; messages without one stand alone. The topic's name stays in `formatted_content`.
* Streams are channels, private where they are invite-only, archived where they are deactivated. Direct messages are
  channels of those who take part, whichever of the two ways Zulip has for them the export uses.
* Subscriptions have no time: members are in since both they and the channel were there.
* Edits come from the history that messages carry, oldest first. Topics and streams are those at the end.
* Reactions have no time: they happened right after their message, in the order of their ids.
* Files are metadata, shared with every message that the export names. There are no pins in Zulip.
* Deactivated people are suspended and members of nothing, since the last thing they wrote.
* What else the realm has (groups, filters, presence, flags of messages, settings …) is not imported, and reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_DNS, uuid5

from tailrace.errors import InvalidInputError
from tailrace.history.generated import EventWriter, Generated, Moment
from tailrace.history.making import Ids, Maker
from tailrace.history.reading import UnreadableFileError
from tailrace.history.report import Report
from tailrace.history.values import EARLIEST_US, first_text, micros, text_of
from tailrace.history.zulip_export import ZulipExport
from tailrace.history.zulip_messages import Messages
from tailrace.history.zulip_people import People
from tailrace.history.zulip_rooms import Rooms
from tailrace.history.zulip_survey import Survey, survey

Progress = Callable[[int, int], None]
"""Called with the files of messages done and those in all."""
PROVIDER: Final = "zulip"
_IMPORTED: Final = frozenset(
    {
        "zerver_realm",
        "zerver_userprofile",
        "zerver_userprofile_crossrealm",
        "zerver_userprofile_mirrordummy",
        "zerver_stream",
        "zerver_recipient",
        "zerver_subscription",
        "zerver_huddle",
        "zerver_reaction",
        "zerver_attachment",
    }
)


@dataclass(frozen=True, slots=True)
class ZulipOptions:
    """`realm` names the realm where an export does not."""

    realm: str | None = None


def zulip_events(
    export: ZulipExport, options: ZulipOptions, report: Report, progress: Progress | None = None
) -> Iterator[Generated]:
    """Give every event of an export, in an order in which they can be published; `report` is filled on the way.

    The messages are read twice: once to find the topics' first messages and who wrote to whom. Memory holds the realm's
    tables with all reactions, the names of topics and files, and one file of messages.

    Raises `InvalidInputError` (exit 6) where nothing names the realm; files that cannot be read are in the report.
    """
    realm = next(iter(export.table("zerver_realm")), {})
    key = options.realm or first_text(realm.get("uuid"), realm.get("string_id"), realm.get("name"))
    if key is None:
        raise InvalidInputError(f"{export.path} does not say which realm it is of", fix="name it with --realm NAME")
    ids = Ids(uuid5(uuid5(NAMESPACE_DNS, "zulip.com"), key))
    workspace = ids.make("workspace", key)
    maker = Maker(EventWriter(ids.namespace, workspace, f"/import/zulip/{key}", report), PROVIDER)
    found = survey(export)
    founded = Moment(_founded(realm, export, found))
    name = first_text(realm.get("name"), realm.get("string_id")) or key
    report.workspace = {"team_id": key, "workspace_id": workspace, "name": name}
    for table in export.tables:
        if table not in _IMPORTED:
            report.odd(f"table {table}", "realm.json", len(export.table(table)))
    people = People(export, found, ids, maker, founded)
    rooms = Rooms(export, found, maker, people, workspace, ids)
    yield from people.events()
    slug = text_of(realm.get("string_id")) or name.lower().replace(" ", "-")
    yield maker.workspace(workspace, name, slug, people.owner(), founded)
    yield from people.memberships(workspace)
    yield from rooms.events()
    messages = Messages(export, found, ids, maker, people, rooms)
    yield from messages.loose_files(workspace)
    tell = progress or _silent
    tell(0, len(export.names))
    for done, file in enumerate(export.names, start=1):
        try:
            yield from messages.file(file)
        except UnreadableFileError as error:
            report.cannot_read(error.file, error.reason)
        tell(done, len(export.names))
    messages.report_unclaimed()
    maker.report.saw("threads", sum(topic.messages > 1 for topic in found.topics.values()))


def _founded(realm: dict[str, Any], export: ZulipExport, found: Survey) -> int:
    times = [micros(realm.get("date_created")), found.earliest]
    times += [micros(row.get("date_created")) for row in export.table("zerver_stream")]
    times += [micros(row.get("date_joined")) for row in export.table("zerver_userprofile")]
    return min((us for us in times if us is not None), default=EARLIEST_US)


def _silent(*_: Any) -> None:
    """Tell nobody."""
