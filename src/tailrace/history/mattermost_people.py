"""Teams and people of a bulk export."""

from collections.abc import Iterator
from typing import Final

from tailrace.history.generated import Generated, Moment
from tailrace.history.making import Ids, Maker, Person
from tailrace.history.mattermost_survey import Raw, Survey
from tailrace.history.values import first_text, micros, objects_of, text_of

_ADMIN_ROLES: Final = ("team_admin", "system_admin")


class People:
    """Teams, and everybody who is named anywhere in the export; those in no list are registered by their name."""

    def __init__(self, found: Survey, ids: Ids, maker: Maker, founded: Moment) -> None:
        self._found = found
        self._ids = ids
        self._maker = maker
        self._founded = founded
        # Channels name teams that need not have a line of their own.
        self.teams = list(dict.fromkeys([*found.teams, *(team for team, _ in found.channels), *self._posted_in()]))
        self._teams_of = {
            name: [team for it in objects_of(user.get("teams")) if (team := text_of(it.get("name"))) in self.teams]
            for name, user in found.users.items()
        }

    def events(self) -> Iterator[Generated]:
        """Make everybody, then the teams, then who is in which."""
        report = self._maker.report
        for name, user in self._found.users.items():
            report.saw("users")
            yield self._maker.person(self._person(name, user), self._founded)
        for name, bot in self._found.bots.items():
            if name not in self._found.users:
                report.saw("bots")
                yield self._maker.person(self._bot(name, bot), self._founded)
        for name, where in self._found.strangers.items():
            report.odd("user_not_listed", where)
            yield self._maker.person(Person(self.user(name), _no_email(name), name, name), self._founded)
        for team in self.teams:
            yield self._team(team)
        for name, user in self._found.users.items():
            yield from self._memberships(name, user)
        for name, bot in self._found.bots.items():
            if name not in self._found.users:
                yield from self._deactivated(name, bot, [])

    def user(self, name: str) -> str:
        """Return the UUID of a user name."""
        return self._ids.make("user", name)

    def workspace(self, team: str) -> str:
        """Return the UUID of a team."""
        return self._ids.make("workspace", team)

    def is_known(self, name: str) -> bool:
        """Say whether somebody of that name is registered."""
        return name in self._found.users or name in self._found.bots or name in self._found.strangers

    def is_bot(self, name: str) -> bool:
        """Say whether that is a program."""
        return name in self._found.bots

    def owner(self, team: str) -> str:
        """Return the user name of a team's owner, as near as roles tell: an admin of it, else anybody in it."""
        inside = [name for name, teams in self._teams_of.items() if team in teams]
        admins = (name for name in inside if self._role(self._found.users[name], team) == "admin")
        return next(admins, next(iter(inside), next(iter(self._found.users), "unknown")))

    def team_of(self, names: tuple[str, ...]) -> str | None:
        """Return the first team that all of them are in."""
        inside = [set(self._teams_of.get(name, ())) for name in names]
        return next((team for team in self.teams if all(team in teams for teams in inside)), None)

    def _posted_in(self) -> Iterator[str]:
        for name in self._found.earliest:
            if name[0]:
                yield name[0]

    def _team(self, team: str) -> Generated:
        raw = self._found.teams.get(team)
        if raw is None:
            self._maker.report.odd("team_not_listed", team)
        self._maker.report.saw("teams")
        name = first_text((raw or {}).get("display_name")) or team
        owner = self.user(self.owner(team))
        return self._maker.workspace(self.workspace(team), name, team, owner, self._founded)

    def _memberships(self, name: str, user: Raw) -> Iterator[Generated]:
        teams = self._teams_of[name]
        for team in teams:
            role = "owner" if self.owner(team) == name else self._role(user, team)
            yield self._maker.member(self.workspace(team), self.user(name), role, self._founded)
        for listed in objects_of(user.get("teams")):
            if listed.get("name") not in teams:
                self._maker.report.odd("member_of_team_not_listed", name)
        yield from self._deactivated(name, user, [self.workspace(team) for team in teams])

    def _deactivated(self, name: str, account: Raw, workspaces: list[str]) -> Iterator[Generated]:
        if deleted := micros(account.get("delete_at")):
            yield from self._maker.deactivated(self.user(name), workspaces, self._founded.then(deleted))

    def _role(self, user: Raw, team: str) -> str:
        of_team = next((it for it in objects_of(user.get("teams")) if it.get("name") == team), {})
        roles = f"{of_team.get('roles') or ''} {user.get('roles') or ''}".split()
        if any(role in roles for role in _ADMIN_ROLES):
            return "admin"
        return "guest" if "team_guest" in roles or "system_guest" in roles else "member"

    def _person(self, name: str, user: Raw) -> Person:
        email = text_of(user.get("email"))
        if email is None:
            self._maker.report.odd("user_without_email", name)
        names = [part for part in (text_of(user.get("first_name")), text_of(user.get("last_name"))) if part]
        return Person(
            self.user(name),
            email or _no_email(name),
            name,
            first_text(user.get("nickname")) or " ".join(names) or name,
            language=first_text(user.get("locale")) or "en",
            title=text_of(user.get("position")),
        )

    def _bot(self, name: str, bot: Raw) -> Person:
        display = first_text(bot.get("display_name")) or name
        return Person(self.user(name), _no_email(name), name, display, bio=text_of(bot.get("description")))


def _no_email(name: str) -> str:
    # A reserved domain (RFC 2606): no mail can ever reach it.
    return f"{name}@mattermost.invalid"
