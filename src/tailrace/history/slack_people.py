"""The workspace and its people: events of the directory topic.

Slack's lists give no time at which somebody registered or joined, so everybody did when the workspace began: at the
earliest time that any list of the export gives. What Slack says to have changed later is an update at that later time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tailrace.history.generated import EventWriter, Generated, Moment
from tailrace.history.report import Report
from tailrace.history.slack_export import Raw
from tailrace.history.slack_values import SlackIds
from tailrace.history.values import first_text, micros, object_of, text_of

SLACKBOT: Final = "USLACKBOT"
UNKNOWN: Final = "UNKNOWN"
"""Stands for the author of what nobody is named as the author of."""
_EXPECTED: Final = {SLACKBOT: "slackbot", UNKNOWN: "unknown"}
"""Nobody expects these two in a list of users."""
_AVATARS: Final = ("image_512", "image_192", "image_72", "image_48")


@dataclass(frozen=True, slots=True)
class WorkspaceFacts:
    """What an export does not say about its workspace, or says only in all its lists together."""

    team: str
    name: str
    founded: Moment


class People:
    """Everybody who is named anywhere in the export.

    Whoever is not in its list of users (people of other companies, integrations, accounts removed for good) is
    registered with what is known of them when first met; `registrations()` gives these events.
    """

    def __init__(self, users: list[Raw], facts: WorkspaceFacts, ids: SlackIds, writer: EventWriter) -> None:
        self._users: dict[str, Raw] = {str(user["id"]): user for user in users}
        self._bots = {
            bot: slack_id
            for slack_id, user in self._users.items()
            if (bot := text_of(object_of(user.get("profile")).get("bot_id")))
        }
        self._facts = facts
        self._ids = ids
        self._writer = writer
        self._uuids: dict[str, str] = {}
        self._strangers: dict[str, str] = {}
        self._unregistered: list[str] = []

    @property
    def report(self) -> Report:
        """The import's report."""
        return self._writer.report

    def events(self) -> Iterator[Generated]:
        """Make the workspace, then every listed user with their membership."""
        yield self._workspace()
        for slack_id, user in self._users.items():
            self.report.saw("bots" if self.is_bot(slack_id) else "users")
            yield from self._user(slack_id, user)

    def registrations(self) -> Iterator[Generated]:
        """Register those who were met since the last call and are in no list."""
        for slack_id in self._unregistered:
            name = self._strangers[slack_id]
            profile = {
                "user_id": self.uuid(slack_id),
                "email": _no_email(slack_id),
                "username": name,
                "display_name": name,
                "timezone": "UTC",
                "language": "en",
            }
            yield self._writer.write("user.registered", profile["user_id"], self._facts.founded, profile)
        self._unregistered.clear()

    def uuid(self, slack_id: str) -> str:
        """Return the UUID of a Slack id, whether or not it was met."""
        known = self._uuids.get(slack_id)
        if known is None:
            known = self._uuids[slack_id] = self._ids.user(slack_id)
        return known

    def meet(self, slack_id: str, place: str, name: str | None = None) -> str:
        """Return the UUID of somebody named in the export; `name` is what they are called there, if anything."""
        if slack_id not in self._users and slack_id not in self._strangers:
            self._strangers[slack_id] = _EXPECTED.get(slack_id) or name or slack_id.lower()
            self._unregistered.append(slack_id)
            if slack_id not in _EXPECTED:
                self.report.odd("bot_not_in_users" if slack_id.startswith("B") else "user_not_in_users", place)
        return self.uuid(slack_id)

    def name(self, slack_id: str) -> str | None:
        """Return what somebody is called; None where they were never met."""
        user = self._users.get(slack_id)
        return _display_name(user) if user else self._strangers.get(slack_id)

    def username(self, slack_id: str) -> str:
        """Return somebody's user name, the Slack id where it is not known."""
        return text_of(self._users.get(slack_id, {}).get("name")) or self._strangers.get(slack_id) or slack_id.lower()

    def is_bot(self, slack_id: str) -> bool:
        """Say whether that is a program."""
        return slack_id == SLACKBOT or self._users.get(slack_id, {}).get("is_bot") is True

    def bot_user(self, bot_id: str) -> str:
        """Return the Slack id of the user an integration posts as; its own id where it has none."""
        return self._bots.get(bot_id, bot_id)

    def owner(self) -> str:
        """Return the Slack id of the workspace's owner, as near as the list of users tells."""
        for flag in ("is_primary_owner", "is_owner", "is_admin"):
            if found := next((slack_id for slack_id, user in self._users.items() if user.get(flag) is True), None):
                return found
        return next(iter(self._users), UNKNOWN)

    def _workspace(self) -> Generated:
        facts = self._facts
        data = {
            "workspace_id": self._ids.workspace,
            "name": facts.name,
            "slug": facts.name.lower().replace(" ", "-"),
            "owner_id": self.meet(self.owner(), "users.json"),
            "settings": {},
            "plan_type": "imported",
            "max_members": len(self._users),
            "subscription_status": "active",
            "sso_enabled": False,
            "require_2fa": False,
        }
        return self._writer.write("workspace.created", self._ids.workspace, facts.founded, data)

    def _user(self, slack_id: str, user: Raw) -> Iterator[Generated]:
        founded, updated = self._facts.founded, micros(user.get("updated"))
        uuid = self.uuid(slack_id)
        profile, membership = self._profile(slack_id, user), self._membership(slack_id, user)
        pair = f"{self._ids.workspace}/{uuid}"
        yield self._writer.write("user.registered", uuid, founded, profile)
        yield self._writer.write("workspace_member.joined", pair, founded, membership)
        changed = founded.then(updated or 0)
        if updated is not None and updated > founded.us:
            yield self._writer.write("user.updated", uuid, changed, profile)
        if user.get("deleted") is True:
            self.report.saw("deactivated")
            # Slack's "deleted" is a deactivated account: it keeps its history and can be switched on again.
            yield self._writer.write("user.status_changed", uuid, changed, {"user_id": uuid, "status": "suspended"})
            left = {"workspace_id": self._ids.workspace, "user_id": uuid}
            yield self._writer.write("workspace_member.left", pair, changed, left)
        elif updated is not None and updated > founded.us:
            yield self._writer.write("workspace_member.updated", pair, changed, membership)

    def _profile(self, slack_id: str, user: Raw) -> dict[str, Any]:
        profile = object_of(user.get("profile"))
        email = text_of(profile.get("email"))
        if email is None and not self.is_bot(slack_id):
            self.report.odd("user_without_email", f"users.json {slack_id}")
        return {
            "user_id": self.uuid(slack_id),
            "email": email or _no_email(slack_id),
            "username": self.username(slack_id),
            "display_name": _display_name(user),
            "avatar_url": first_text(*(profile.get(size) for size in _AVATARS)),
            "timezone": first_text(user.get("tz")) or "UTC",
            "title": text_of(profile.get("title")),
            "phone": text_of(profile.get("phone")),
            "pronouns": text_of(profile.get("pronouns")),
            "language": first_text(user.get("locale")) or "en",
        }

    def _membership(self, slack_id: str, user: Raw) -> dict[str, Any]:
        return {
            "workspace_id": self._ids.workspace,
            "user_id": self.uuid(slack_id),
            "role": self._role(user),
            "title": text_of(object_of(user.get("profile")).get("title")),
            "timezone": text_of(user.get("tz")),
        }

    def _role(self, user: Raw) -> str:
        if user.get("is_primary_owner") is True or user.get("is_owner") is True:
            return "owner"
        if user.get("is_admin") is True:
            return "admin"
        restricted = any(user.get(flag) is True for flag in ("is_restricted", "is_ultra_restricted", "is_stranger"))
        return "guest" if restricted or self._is_foreign(user) else "member"

    def _is_foreign(self, user: Raw) -> bool:
        team = text_of(user.get("team_id"))
        teams = object_of(user.get("enterprise_user")).get("teams")
        return team not in {None, self._facts.team} and self._facts.team not in (teams or ())


def _display_name(user: Mapping[str, Any]) -> str:
    profile = object_of(user.get("profile"))
    names = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
    return first_text(*names) or str(user["id"])


def _no_email(slack_id: str) -> str:
    # A reserved domain (RFC 2606): unique, as name conflicts are looked for, and no mail can ever reach it.
    return f"{slack_id.lower()}@slack.invalid"
