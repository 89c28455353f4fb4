"""Slack's history as contract events: an export in, events out, the same export always the same events.

What Slack's export leaves open, and what is done about it:

* Times. Users, members of the workspace and channels without a date are as old as the oldest date of the lists.
  Reactions happened right after their message, in the order listed; so did pins of which no date is known, and the
  deletion of tombstones. Listed members who never joined are in since the channel was made.
* Edits. Without edit logs a message is posted with its last text and edited to the same text at the time of the edit:
  shown as edited, with no history, and right as well when an earlier export had another text.
* "deleted" users are deactivated accounts: suspended, and out of the workspace since their last change.
* Text. References become names, files keep their metadata only, and blocks and attachments stay in
  `formatted_content` as `slack_blocks` and `slack_attachments`, the subtype as `slack_subtype`.
* E-mail addresses that the export lacks become `ID@slack.invalid`; whoever is in no list is registered by what their
  first message says of them, without being a member.
* A conversation of which only the folder exists becomes a private channel without members: nothing is lost or shown.
* Lists of apps, canvases and content flags are not imported, and reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tailrace.errors import InvalidInputError
from tailrace.history.generated import EventWriter, Generated, Moment
from tailrace.history.reading import UnreadableFileError
from tailrace.history.report import Report
from tailrace.history.slack_channels import Channels, Room
from tailrace.history.slack_days import entries, leftovers
from tailrace.history.slack_export import SlackExport
from tailrace.history.slack_files import Files
from tailrace.history.slack_messages import Messages
from tailrace.history.slack_people import People, WorkspaceFacts
from tailrace.history.slack_survey import survey
from tailrace.history.slack_text import TextReader
from tailrace.history.slack_values import SlackIds
from tailrace.history.values import EARLIEST_US, first_text, micros

Progress = Callable[[int, int], None]
"""Called with the day files done and the day files in all."""


@dataclass(frozen=True, slots=True)
class SlackOptions:
    """What an export may leave open: the workspace's name (a Slack export never has it), and the team's id."""

    workspace: str | None = None
    team_id: str | None = None


def slack_events(
    export: SlackExport, options: SlackOptions, report: Report, progress: Progress | None = None
) -> Iterator[Generated]:
    """Give every event of an export, in an order in which they can be published; `report` is filled on the way.

    First the workspace and its people, then all conversations, then one conversation after the other: its members, and
    its messages in order of time, replies so after what they reply to, each followed by its edits, files, reactions,
    pins and deletion. At most one day's file is held in memory, with all users, the ids of all files, and one
    conversation's edit logs.

    Ids are UUIDv5s of Slack's ids in the namespace of the team, so importing again, or importing a later export of the
    same workspace, makes the events that are there already with the ids they have. Raises `InvalidInputError` (exit 6)
    where neither the export nor the options name the workspace; files that cannot be read are in the report.
    """
    yield from _Import(export, options, report).events(progress or _silent)


class _Import:
    """One export on its way; wires the parts together."""

    def __init__(self, export: SlackExport, options: SlackOptions, report: Report) -> None:
        team = options.team_id or export.team_id or options.workspace
        if team is None:
            raise InvalidInputError(
                f"{export.path} does not say which workspace it is of", fix="name it with --workspace NAME"
            )
        self._export, self._report = export, report
        ids = SlackIds(team)
        founded = Moment(_founded(export))
        facts = WorkspaceFacts(team, options.workspace or team, founded)
        writer = EventWriter(ids.namespace, ids.workspace, f"/import/slack/{team}", report)
        names = {entry.slack_id: first_text(entry.raw.get("name")) for entry in export.conversations}
        self._people = People(export.users, facts, ids, writer)
        self._channels = Channels(ids, self._people, writer, founded)
        files = Files(ids, self._people, writer, team)
        self._messages = Messages(ids, self._people, TextReader(self._people.name, names.get), files, writer)
        report.workspace = {"team_id": team, "workspace_id": ids.workspace, "name": facts.name}

    def events(self, progress: Progress) -> Iterator[Generated]:
        for error in self._export.unreadable:
            self._report.cannot_read(error.file, error.reason)
        for name in self._export.ignored:
            self._report.odd(f"file {name.rpartition('/')[2]}", name)
        yield from self._people.events()
        yield from self._people.registrations()
        for conversation in self._export.conversations:
            yield from self._channels.profile(conversation)
        total = sum(len(conversation.days) for conversation in self._export.conversations)
        done = 0
        progress(done, total)
        for conversation in self._export.conversations:
            room = self._channels.open(conversation, survey(self._export, conversation))
            yield from self._channels.first_members(room)
            for day in conversation.days:
                yield from self._day(room, day)
                done += 1
                progress(done, total)
            yield from self._end(room)

    def _day(self, room: Room, day: str) -> Iterator[Generated]:
        try:
            items = self._export.read_day(day)
        except UnreadableFileError as error:
            self._report.cannot_read(error.file, error.reason)
            return
        self._report.saw("day_files")
        for entry in entries(room, day, items, self._report):
            at = Moment(entry.us)
            room.last = max(room.last, at)
            yield from self._channels.follow(room, entry.item, at, entry.place)
            yield from self._messages.events(room, entry)

    def _end(self, room: Room) -> Iterator[Generated]:
        for entry in leftovers(room):
            room.last = max(room.last, Moment(entry.us))
            yield from self._messages.events(room, entry)
        yield from self._channels.close(room)


def _founded(export: SlackExport) -> int:
    times = [us for entry in export.conversations if (us := micros(entry.raw.get("created"))) is not None]
    times += [us for user in export.users if (us := micros(user.get("updated"))) is not None]
    return min(times, default=EARLIEST_US)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total
