"""The people and bots of a realm."""

from collections.abc import Iterator
from typing import Final

from tailrace.history.generated import Generated, Moment
from tailrace.history.making import Ids, Maker, Person
from tailrace.history.values import first_text, micros, text_of
from tailrace.history.zulip_export import Raw, ZulipExport
from tailrace.history.zulip_survey import Survey, id_of

_ROLES: Final = {100: "owner", 200: "admin", 300: "member", 400: "member", 600: "guest"}
_ORDER: Final = ("owner", "admin", "member", "guest")
_OTHERS: Final = ("zerver_userprofile_mirrordummy", "zerver_userprofile_crossrealm")
"""People who only ever got mail or left for good, and the bots that serve all realms."""


class People:
    """Everybody in the realm's tables, and those who only appear in messages."""

    def __init__(self, export: ZulipExport, found: Survey, ids: Ids, maker: Maker, founded: Moment) -> None:
        self._found = found
        self._ids = ids
        self._maker = maker
        self.founded = founded
        """As old as anything in the export."""
        self._users = _by_id(export.table("zerver_userprofile"))
        self._others = _by_id(row for table in _OTHERS for row in export.table(table))
        self._names = {first_text(user.get("full_name")): key for key, user in (self._others | self._users).items()}
        named = {*found.spoke, *(user for members in found.directs for user in members)}
        reacted = (id_of(row.get("user_profile")) for row in export.table("zerver_reaction"))
        named |= {user for user in reacted if user is not None}
        self._strangers = sorted(named - self._users.keys() - self._others.keys())

    def events(self) -> Iterator[Generated]:
        """Make everybody."""
        report = self._maker.report
        for key, user in self._users.items():
            report.saw("bots" if user.get("is_bot") is True else "users")
            yield self._maker.person(self._person(key, user), self.joined(key))
        for key, user in self._others.items():
            if key not in self._users:
                report.saw("bots" if self.is_system(key) else "users")
                yield self._maker.person(self._person(key, user), self.founded)
        for key in self._strangers:
            report.odd("user_not_in_realm", f"user {key}")
            yield self._maker.person(self._person(key, {}), self.founded)

    def memberships(self, workspace_id: str) -> Iterator[Generated]:
        """Make the memberships of the realm's own people, and end those of the deactivated."""
        for key, user in self._users.items():
            yield self._maker.member(workspace_id, self.user(key), self._role(user), self.joined(key))
            if user.get("is_active") is False:
                last = max(self.joined(key).us, self._found.spoke.get(key, 0))
                yield from self._maker.deactivated(self.user(key), [workspace_id], self.joined(key).then(last))

    def user(self, key: int) -> str:
        """Return the UUID of one of Zulip's ids."""
        return self._ids.make("user", str(key))

    def is_known(self, key: int) -> bool:
        """Say whether somebody of that id is registered."""
        return key in self._users or key in self._others or key in self._strangers

    def named(self, name: str) -> int | None:
        """Return the id of somebody of that full name."""
        return self._names.get(name)

    def is_bot(self, key: int) -> bool:
        """Say whether that is a program."""
        return self._users.get(key, {}).get("is_bot") is True

    def is_system(self, key: int) -> bool:
        """Say whether that is one of the bots that serve all realms."""
        return self._others.get(key, {}).get("is_mirror_dummy") is not True and key in self._others

    def joined(self, key: int) -> Moment:
        """Return when somebody joined the realm, as far as it is known."""
        us = micros(self._users.get(key, {}).get("date_joined"))
        return self.founded if us is None else Moment(max(us, self.founded.us))

    def owner(self) -> str:
        """Return the UUID of the realm's owner, as near as roles tell."""
        people = [key for key, user in self._users.items() if user.get("is_bot") is not True]
        ranked = sorted(people, key=lambda key: (_ORDER.index(self._role(self._users[key])), key))
        return self.user(next(iter(ranked), 0))

    def display_name(self, key: int) -> str:
        """Return what somebody is called."""
        user = self._users.get(key) or self._others.get(key) or {}
        return first_text(user.get("full_name")) or f"user {key}"

    def _role(self, user: Raw) -> str:
        role = id_of(user.get("role"))
        if role is None:
            # Until 2019 there were flags instead of a role.
            return "admin" if user.get("is_realm_admin") is True else "member"
        return _ROLES.get(role, "member")

    def _person(self, key: int, user: Raw) -> Person:
        email = first_text(user.get("delivery_email"), user.get("email"))
        if email is None and user:
            self._maker.report.odd("user_without_email", f"user {key}")
        email = email or f"user{key}@zulip.invalid"  # a reserved domain (RFC 2606)
        return Person(
            self.user(key),
            email,
            text_of(email.partition("@")[0]) or f"user{key}",
            self.display_name(key),
            first_text(user.get("timezone")) or "UTC",
            first_text(user.get("default_language")) or "en",
        )


def _by_id(rows: "Iterator[Raw] | list[Raw]") -> dict[int, Raw]:
    return {key: row for row in rows if (key := id_of(row.get("id"))) is not None}
