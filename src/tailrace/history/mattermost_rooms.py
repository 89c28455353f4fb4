"""Channels and direct channels of a bulk export, and who is in them."""

from collections.abc import Iterator
from typing import Any, Final

from tailrace.history.generated import Generated, Moment
from tailrace.history.making import Ids, Maker, Place, Profile
from tailrace.history.mattermost_people import People
from tailrace.history.mattermost_survey import Name, Raw, Survey
from tailrace.history.values import first_text, micros, object_of, objects_of, text_of

_LEVELS: Final = {"all": "all", "mention": "mentions", "none": "none"}
_GENERAL: Final = "town-square"
"""The channel that every team has and nobody can leave."""
_PAIR: Final = 2


class Rooms:
    """Makes conversations. A post's conversation that is in no list becomes a private channel without members."""

    def __init__(self, found: Survey, ids: Ids, maker: Maker, people: People, founded: Moment) -> None:
        self._found = found
        self._ids = ids
        self._maker = maker
        self._people = people
        self._founded = founded
        self._places: dict[Name, Place] = {}

    def events(self) -> Iterator[Generated]:
        """Make all conversations, then the members of each."""
        unlisted = [name for name in self._found.earliest if name[0] and name not in self._found.channels]
        for name in (*self._found.channels, *unlisted):
            yield from self._channel(name)
        for name, raw in self._found.directs.items():
            yield from self._direct(name, raw)
        for username, user in self._found.users.items():
            yield from self._memberships(username, user)

    def place(self, name: Name) -> Place | None:
        """Return the ids of a conversation; None where it is none."""
        return self._places.get(name)

    def _channel(self, name: Name) -> Iterator[Generated]:
        team, short = name
        raw, at = self._found.channels.get(name), self._began(name)
        self._maker.report.saw("groups" if raw is None or raw.get("type") == "P" else "channels")
        if raw is None:
            self._maker.report.odd("channel_not_listed", f"{team}/{short}")
            raw = {"type": "P"}
        place = Place(self._ids.make("channel", f"{team}\0{short}"), self._people.workspace(team))
        self._places[name] = place
        profile = Profile(
            short,
            "public" if raw.get("type") == "O" else "private",
            self._people.user(self._people.owner(team)),
            first_text(raw.get("display_name")),
            text_of(raw.get("header")),
            text_of(raw.get("purpose")),
            is_general=short == _GENERAL,
        )
        yield self._maker.channel(place, profile, at)
        if archived := micros(raw.get("deleted_at")):
            yield self._maker.archived(place, at.then(archived))

    def _direct(self, name: Name, raw: Raw) -> Iterator[Generated]:
        members = name[1:]
        report, kind = self._maker.report, "dm" if len(members) <= _PAIR else "group_dm"
        report.saw("dms" if kind == "dm" else "mpims")
        team = self._people.team_of(members)
        if team is None:
            report.odd("direct_channel_without_common_team", f"{kind} of {len(members)}")
            team = self._people.teams[0]
        place = Place(self._ids.make("channel", "\0".join(["direct", *members])), self._people.workspace(team))
        self._places[name] = place
        short, creator = "-".join(["dm", *members]), self._people.user(members[0])
        profile = Profile(short, kind, creator, ", ".join(members), text_of(raw.get("header")))
        at = self._began(name)
        yield self._maker.channel(place, profile, at)
        for member in members:
            report.saw("members")
            yield self._maker.joined(place, self._people.user(member), at)

    def _memberships(self, username: str, user: Raw) -> Iterator[Generated]:
        for team in objects_of(user.get("teams")):
            for channel in objects_of(team.get("channels")):
                name = (text_of(team.get("name")) or "", text_of(channel.get("name")) or "")
                self._maker.report.saw("members")
                place = self._places.get(name)
                if place is None:
                    self._maker.report.odd("member_of_channel_not_listed", "/".join(name))
                else:
                    more = _settings(channel)
                    yield self._maker.joined(place, self._people.user(username), self._began(name), **more)

    def _began(self, name: Name) -> Moment:
        us = self._found.earliest.get(name)
        return self._founded if us is None else Moment(us)


def _settings(channel: Raw) -> dict[str, Any]:
    props = object_of(channel.get("notify_props"))
    return {
        "role": "admin" if "channel_admin" in str(channel.get("roles") or "").split() else "member",
        "notification_level": _LEVELS.get(str(props.get("desktop")), "all"),
        # Mattermost's way of muting: only mentions make a channel unread.
        "muted": props.get("mark_unread") == "mention",
    }
