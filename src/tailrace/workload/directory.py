"""People and workspaces: profiles, status, membership, invitations, and the end of both."""

import unicodedata
from collections.abc import Callable
from typing import Any, Final

from tailrace.workload import kinds
from tailrace.workload.channels import enter, forget_member
from tailrace.workload.company import Company, User, Workspace
from tailrace.workload.dice import Weighted
from tailrace.workload.messages import post, say
from tailrace.workload.writer import DAY, HOUR, MINUTE

_MEMBERS_MIN: Final = 4


def new_user(c: Company, timezone: str, language: str) -> User:
    """Think of somebody, and register him."""
    dice, words = c.dice, c.words["people"]
    c.people += 1
    first, last = dice.pick(words["first"]), dice.pick(words["last"])
    letters = unicodedata.normalize("NFKD", f"{first}.{last}".lower()).encode("ascii", "ignore").decode()
    username = letters.replace(" ", "").replace("'", "")
    if dice.chance(0.9):  # the others may clash, as names do
        username += str(c.people)
    user = User(c.writer.new_id(), f"{username}@mail.example", username, f"{first} {last}", timezone, language)
    user.title = dice.pick(words["titles"]) if dice.chance(0.8) else None
    user.phone = f"+49 40 555 {c.people:05d}" if dice.chance(0.4) else None
    user.bio = dice.pick(words["bios"]) if dice.chance(0.3) else None
    user.pronouns = dice.pick(words["pronouns"]) if dice.chance(0.3) else None
    user.avatar_url = f"https://img.example/{user.id}.png" if dice.chance(0.6) else None
    c.writer.emit(kinds.USER_REGISTERED, user.id, user.id, None, user.profile())
    return user


def admit(c: Company, w: Workspace, user: User, role: str = "member", invited_by: User | None = None) -> None:
    """Make somebody a member of the workspace."""
    w.members.append(user)
    w.roles[user.id] = (role, c.dice.pick(c.words["people"]["departments"]))
    publish_member(c, w, user, kinds.WORKSPACE_MEMBER_JOINED, invited_by)


def publish_member(c: Company, w: Workspace, user: User, kind: kinds.Kind, invited_by: User | None = None) -> None:
    """Write workspace_member.joined or .updated with all that is known of the membership."""
    role, department = w.roles[user.id]
    data: dict[str, Any] = {
        "workspace_id": w.id,
        "user_id": user.id,
        "role": role,
        "department": department,
        "permissions": {"invite": role in {"owner", "admin"}, "export": role == "owner"},
        "timezone": user.timezone,
    }
    if user.title:
        data["title"] = user.title
    if invited_by:
        data["invited_by"] = invited_by.id
    c.writer.emit(kind, w.id, f"{w.id}/{user.id}", w.id, data)


def _people(w: Workspace) -> list[User]:
    """Return those who may be sent away: not the owner."""
    return [user for user in w.members if user is not w.owner]


def change_user(c: Company, w: Workspace) -> None:
    """Somebody marries, moves, or is promoted; some take their old name back."""
    user = c.dice.pick(w.members)
    _USER_CHANGES.draw(c.dice)(c, user)
    c.writer.emit(kinds.USER_UPDATED, user.id, user.id, None, user.profile())


def _new_display_name(c: Company, user: User) -> None:
    if user.earlier_name:
        user.display_name, user.earlier_name = user.earlier_name, None
    else:
        user.earlier_name = user.display_name
        user.display_name = f"{user.display_name.split()[0]} {c.dice.pick(c.words['people']['last'])}"


def _new_title(c: Company, user: User) -> None:
    user.title = c.dice.pick(c.words["people"]["titles"])


def _new_username(c: Company, user: User) -> None:
    user.username = f"{user.username.rstrip('0123456789')}{c.dice.between(10, 99)}"


def _new_timezone(c: Company, user: User) -> None:
    user.timezone = c.dice.pick(c.words["places"]["zones"])[0]


_USER_CHANGES: Final[Weighted[Callable[[Company, User], None]]] = Weighted(
    [(_new_display_name, 0.5), (_new_title, 0.2), (_new_username, 0.15), (_new_timezone, 0.15)]
)


def swap_usernames(c: Company, w: Workspace) -> None:
    """Two people swap their usernames, so for a moment two have the same."""
    one, other = c.dice.sample(w.members, 2)
    one.username, other.username = other.username, one.username
    for user in (one, other):
        c.writer.emit(kinds.USER_UPDATED, user.id, user.id, None, user.profile())


def set_status(c: Company, user: User, status: str) -> None:
    """Write a change of status."""
    c.writer.emit(kinds.USER_STATUS_CHANGED, user.id, user.id, None, {"user_id": user.id, "status": status})


def suspend_user(c: Company, w: Workspace) -> None:
    """An account is suspended for some hours, or closed for good once nobody needs it."""
    if w.former and c.dice.chance(0.2):
        return set_status(c, w.former[0], "deleted")
    user = c.dice.pick(w.members)
    set_status(c, user, "suspended")
    return c.agenda.add(c.later(HOUR, 2 * DAY), set_status, c, user, "active")


def change_preferences(c: Company, w: Workspace) -> None:
    """Somebody chooses how to be disturbed and what it looks like."""
    user = c.dice.pick(w.members)
    data = {
        "user_id": user.id,
        "notification_settings": {"desktop": c.dice.chance(0.7), "email": "daily", "quiet_hours": ["22:00", "07:00"]},
        "theme_preferences": {"theme": c.dice.pick(("light", "dark", "system")), "density": c.dice.between(1, 4)},
    }
    c.writer.emit(kinds.USER_PREFERENCES_CHANGED, user.id, user.id, None, data)


def change_member(c: Company, w: Workspace) -> None:
    """Somebody gets another role or department."""
    people = _people(w)
    if not people:
        return post(c, w)
    user = c.dice.pick(people)
    w.roles[user.id] = (c.dice.pick(("admin", "member", "guest")), c.dice.pick(c.words["people"]["departments"]))
    return publish_member(c, w, user, kinds.WORKSPACE_MEMBER_UPDATED)


def remove_member(c: Company, w: Workspace) -> None:
    """Somebody leaves the workspace, or is removed; that ends all memberships in its channels."""
    people = _people(w)
    if len(people) < _MEMBERS_MIN:
        return post(c, w)
    user = c.dice.pick(people)
    data = {"workspace_id": w.id, "user_id": user.id}
    if c.dice.chance(0.7):
        data["removed_by"] = w.owner.id
    c.writer.emit(kinds.WORKSPACE_MEMBER_LEFT, w.id, f"{w.id}/{user.id}", w.id, data)
    w.members.remove(user)
    w.former.append(user)
    return forget_member(c, w, user)


def invite_back(c: Company, w: Workspace) -> None:
    """Somebody who was removed is invited again and finds some of the channels back."""
    if not w.former:
        return remove_member(c, w)
    user = w.former.pop()
    if user.erased or user in w.members:
        return post(c, w)
    invitation_id = _invite(c, w, user.email, w.roles[user.id][0])
    return c.agenda.add(c.later(MINUTE, 6 * HOUR), _accept, c, w, invitation_id, user)


def invite(c: Company, w: Workspace) -> None:
    """Somebody new is invited: most accept, some invitations are revoked, some run out."""
    dice = c.dice
    people = c.words["people"]
    email = f"{dice.pick(people['departments']).lower()}.{dice.bits(32):08x}@mail.example"
    invitation_id = _invite(c, w, email, "guest" if dice.chance(0.2) else "member")
    if dice.chance(0.7) and len(w.members) < w.members_max:
        c.agenda.add(c.later(10 * MINUTE, 2 * DAY), _accept, c, w, invitation_id, None)
    elif dice.chance(0.7):
        c.agenda.add(c.later(HOUR, 3 * DAY), _revoke, c, w, invitation_id)


def _invite(c: Company, w: Workspace, email: str, role: str) -> str:
    invitation_id = c.writer.new_id()
    data = {
        "invitation_id": invitation_id,
        "workspace_id": w.id,
        "email": email,
        "role": role,
        "expires_at": c.writer.after(7 * DAY),
        "created_by": w.owner.id,
    }
    c.writer.emit(kinds.INVITATION_CREATED, w.id, invitation_id, w.id, data)
    return invitation_id


def _accept(c: Company, w: Workspace, invitation_id: str, user: User | None) -> None:
    if w.deleted:
        return
    user = user or new_user(c, w.timezone, w.language)
    if user.erased or user in w.members:
        return
    data = {"invitation_id": invitation_id, "workspace_id": w.id, "user_id": user.id}
    c.writer.emit(kinds.INVITATION_ACCEPTED, w.id, invitation_id, w.id, data)
    admit(c, w, user, invited_by=w.owner)
    for channel in w.channels[: 1 + c.dice.below(4)]:
        if user.id not in channel.joined:
            enter(c, channel, user, w.owner)


def _revoke(c: Company, w: Workspace, invitation_id: str) -> None:
    data = {"invitation_id": invitation_id, "workspace_id": w.id}
    c.writer.emit(kinds.INVITATION_REVOKED, w.id, invitation_id, w.id, data)


def change_workspace(c: Company, w: Workspace) -> None:
    """The workspace gets another plan, name, retention or owner."""
    _WORKSPACE_CHANGES.draw(c.dice)(c, w)
    c.writer.emit(kinds.WORKSPACE_UPDATED, w.id, w.id, w.id, w.profile())


def _new_plan(c: Company, w: Workspace) -> None:
    w.plan = c.dice.pick(c.words["company"]["plans"])


def _new_retention(c: Company, w: Workspace) -> None:
    w.retention_days = c.dice.pick((None, 90, 365, 730))


def _new_company_name(c: Company, w: Workspace) -> None:
    w.name = f"{w.name.split(' (')[0]} ({c.dice.between(2, 30)})"


def _new_owner(c: Company, w: Workspace) -> None:
    if people := _people(w):
        w.owner = c.dice.pick(people)
        w.roles[w.owner.id] = ("owner", w.roles[w.owner.id][1])
        publish_member(c, w, w.owner, kinds.WORKSPACE_MEMBER_UPDATED)


_WORKSPACE_CHANGES: Final[Weighted[Callable[[Company, Workspace], None]]] = Weighted(
    [(_new_plan, 0.3), (_new_retention, 0.3), (_new_company_name, 0.2), (_new_owner, 0.2)]
)


def erase_user(c: Company) -> None:
    """Somebody asks to be forgotten; what he was writing just then still arrives."""
    live = [w for w in c.workspaces if not w.deleted]
    w = max(live, key=lambda workspace: len(workspace.members))
    owners = {workspace.owner.id for workspace in c.workspaces}
    people = [user for user in _people(w) if user.id not in owners]
    if len(people) < _MEMBERS_MIN:
        return
    user = c.dice.pick_early(people)
    channel = next((ch for ch in w.channels if user.id in ch.joined), w.channels[0])
    user.erased = True
    c.writer.emit(kinds.USER_ERASED, user.id, user.id, None, {"user_id": user.id})
    for workspace in c.workspaces:
        if user in workspace.members:
            workspace.members.remove(user)
            forget_member(c, workspace, user)
    for _ in range(2):
        say(c, channel, user, c.texts.message(user.language))


def delete_workspace(c: Company) -> None:
    """The smallest workspace is deleted; until its clients have noticed, events of it still come."""
    live = [w for w in c.workspaces if not w.deleted]
    if len(live) == 1:  # somebody has to go on
        return
    w = min(live, key=lambda workspace: len(workspace.members))
    w.deleted = True
    w.weight = 0.0  # counts from the schedule's next hour on
    c.writer.emit(kinds.WORKSPACE_DELETED, w.id, w.id, w.id, {"workspace_id": w.id})
    for _ in range(3):
        c.agenda.add(c.later(MINUTE, 3 * HOUR), post, c, w)
