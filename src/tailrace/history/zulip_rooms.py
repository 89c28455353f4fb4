"""The streams and direct conversations of a realm, and who is in them."""

from collections.abc import Iterator
from typing import Final

from tailrace.history.generated import Generated, Moment
from tailrace.history.making import Ids, Maker, Place, Profile
from tailrace.history.values import first_text, micros, text_of
from tailrace.history.zulip_export import Raw, ZulipExport
from tailrace.history.zulip_people import People
from tailrace.history.zulip_survey import Members, RecipientType, Survey, id_of

_PAIR: Final = 2
_NAME_MEMBERS_MAX: Final = 10
"""A group's name tells so many of its members."""


class Rooms:
    """Makes conversations. A message of a stream that is not in the realm's table has none."""

    def __init__(
        self, export: ZulipExport, found: Survey, maker: Maker, people: People, workspace: str, ids: Ids
    ) -> None:
        self._found = found
        self._maker = maker
        self._people = people
        self._workspace = workspace
        self._ids = ids
        self._streams = {key: row for row in export.table("zerver_stream") if (key := id_of(row.get("id"))) is not None}
        self._subscriptions = export.table("zerver_subscription")
        self._directs: dict[Members, Place] = {}

    def events(self) -> Iterator[Generated]:
        """Make all conversations, then their members."""
        for key, stream in self._streams.items():
            yield from self._stream(key, stream)
        for members, us in self._all_directs().items():
            yield from self._direct(members, us)
        for row in self._subscriptions:
            yield from self._subscription(row)

    def place(self, message: Raw) -> Place | None:
        """Return the ids of a message's conversation; None where the realm does not have it."""
        kind, target = self._found.recipients.get(id_of(message.get("recipient")) or 0, (0, 0))
        if kind == RecipientType.STREAM:
            return self._of_stream(target) if target in self._streams else None
        members = self._found.direct(message)
        return self._directs.get(members) if members else None

    def _all_directs(self) -> dict[Members, int | None]:
        """Conversations with messages and, of the groups, those without any too."""
        found: dict[Members, int | None] = dict(self._found.directs)
        for recipient, (kind, _) in self._found.recipients.items():
            members = tuple(sorted(set(self._found.members.get(recipient, ()))))
            if kind == RecipientType.GROUP and members:
                found.setdefault(members, None)
        return found

    def _of_stream(self, key: int) -> Place:
        return Place(self._ids.make("channel", f"stream:{key}"), self._workspace)

    def _stream(self, key: int, stream: Raw) -> Iterator[Generated]:
        private = stream.get("invite_only") is True
        self._maker.report.saw("groups" if private else "channels")
        creator = id_of(stream.get("creator"))
        known = creator is not None and self._people.is_known(creator)
        profile = Profile(
            first_text(stream.get("name")) or f"stream {key}",
            "private" if private else "public",
            self._people.user(creator) if creator is not None and known else self._people.owner(),
            purpose=text_of(stream.get("description")),
        )
        at = self._began(stream)
        yield self._maker.channel(self._of_stream(key), profile, at)
        if stream.get("deactivated") is True:
            self._maker.report.odd("archived_without_time", f"stream {key}")
            yield self._maker.archived(self._of_stream(key), at.then(at.us))

    def _direct(self, members: Members, us: int | None) -> Iterator[Generated]:
        kind = "dm" if len(members) <= _PAIR else "group_dm"
        self._maker.report.saw("dms" if kind == "dm" else "mpims")
        place = Place(self._ids.make("channel", f"direct:{','.join(map(str, members))}"), self._workspace)
        self._directs[members] = place
        names = [self._people.display_name(key) for key in members[:_NAME_MEMBERS_MAX]]
        profile = Profile("dm-" + "-".join(map(str, members)), kind, self._people.user(members[0]), ", ".join(names))
        at = self._people.joined(members[0]) if us is None else Moment(us)
        yield self._maker.channel(place, profile, at)
        for key in members:
            self._maker.report.saw("members")
            yield self._maker.joined(place, self._people.user(key), at)

    def _subscription(self, row: Raw) -> Iterator[Generated]:
        kind, target = self._found.recipients.get(id_of(row.get("recipient")) or 0, (0, 0))
        user = id_of(row.get("user_profile"))
        if kind != RecipientType.STREAM or target not in self._streams or user is None or row.get("active") is False:
            return
        self._maker.report.saw("members")
        if not self._people.is_known(user):
            self._maker.report.odd("member_not_in_realm", f"user {user}")
            return
        at = max(self._began(self._streams[target]), self._people.joined(user))
        muted = row.get("is_muted") is True or row.get("in_home_view") is False
        yield self._maker.joined(self._of_stream(target), self._people.user(user), at, muted=muted)

    def _began(self, stream: Raw) -> Moment:
        us = micros(stream.get("date_created"))
        return self._people.founded if us is None else Moment(us)
