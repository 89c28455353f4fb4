"""How the company comes to be: people, workspaces, channels and who is in them, in the hour before the run's start."""

from collections.abc import Iterator
from typing import Final

from tailrace.workload import kinds
from tailrace.workload.apps import install_app
from tailrace.workload.channels import enter, open_channel, open_dm
from tailrace.workload.company import Company, User, Workspace
from tailrace.workload.directory import admit, new_user, publish_member
from tailrace.workload.records import Generated

_PEOPLE_MIN: Final = 3
_CHANNELS_MAX: Final = 60
_CHANNEL_SIZE_MAX: Final = 40
_GUEST_SHARE: Final = 0.06


def found(c: Company) -> Iterator[list[Generated]]:
    """Found every workspace, the largest first, and yield the events of each."""
    for index, size in enumerate(workspace_sizes(c.profile.users, c.profile.workspaces)):
        w = _found_workspace(c, index, size)
        for user in _guests(c, w):
            admit(c, w, user, "guest", w.owner)
        _open_channels(c, w)
        _start_apps(c, w)
        yield c.writer.take()


def workspace_sizes(users: int, workspaces: int) -> list[int]:
    """Spread users over workspaces by Zipf's law: three at least, and the largest takes what is left over."""
    whole = sum(1.0 / (index + 1) for index in range(workspaces))
    free = users - _PEOPLE_MIN * workspaces
    sizes = [_PEOPLE_MIN + int(free / (index + 1) / whole) for index in range(workspaces)]
    sizes[0] += users - sum(sizes)
    return sizes


def _found_workspace(c: Company, index: int, size: int) -> Workspace:
    dice, words = c.dice, c.words["company"]
    zones = c.words["places"]["zones"]
    zone, offset, language = zones[index % len(zones)]
    owner = new_user(c, zone, language)
    name = words["names"][index % len(words["names"])]
    if index >= len(words["names"]):
        name = f"{name} {1 + index // len(words['names'])}"
    slug = "".join(letter for letter in name.lower().replace(" ", "-") if letter.isascii() and letter not in "&'.")
    w = Workspace(c.writer.new_id(), name, slug, owner, zone, offset, language, float(size), dice.pick(words["plans"]))
    w.members_max = 2 * size
    c.writer.emit(kinds.WORKSPACE_CREATED, w.id, w.id, w.id, w.profile())
    c.workspaces.append(w)
    admit(c, w, owner, "owner")
    for _ in range(size - 1):
        zone, _, language = dice.pick(zones) if dice.chance(0.25) else (w.timezone, 0, w.language)
        role = "admin" if dice.chance(0.06) else "guest" if dice.chance(0.08) else "member"
        admit(c, w, new_user(c, zone, language), role, owner)
    return w


def _guests(c: Company, w: Workspace) -> list[User]:
    """People of the workspaces that are there already, who belong to this one too."""
    count = int(len(w.members) * _GUEST_SHARE) + 1 if len(c.workspaces) > 1 else 0
    others = [user for other in c.workspaces[:-1] for user in other.members]
    return c.dice.sample(list(dict.fromkeys(others)), count)


def _open_channels(c: Company, w: Workspace) -> None:
    dice, names = c.dice, c.words["channels"]["names"]
    for index in range(min(_CHANNELS_MAX, 4 + len(w.members) // 3)):
        name = names[index] if index < len(names) else f"project-{index - len(names) + 1}"
        founder = w.owner if not index else dice.pick(w.members)
        kind = "private" if index and dice.chance(0.2) else "public"
        channel = open_channel(c, w, name, kind, founder)
        size = len(w.members) if index == 0 else 2 + dice.below(min(len(w.members), _CHANNEL_SIZE_MAX))
        enter(c, channel, founder)
        for user in dice.sample(w.members, size):
            if user is not founder:
                enter(c, channel, user)
        w.channels.append(channel)
    for _ in range(len(w.members) // 4):
        open_dm(c, w)


def _start_apps(c: Company, w: Workspace) -> None:
    """Every workspace has an app that reports; its account is a member of the workspace, but of no channel."""
    bot = new_user(c, w.timezone, "en")
    bot.display_name = bot.username = "deploybot"
    w.roles[bot.id] = ("member", "Apps")
    w.bot = bot
    c.writer.emit(kinds.USER_UPDATED, bot.id, bot.id, None, bot.profile())
    publish_member(c, w, bot, kinds.WORKSPACE_MEMBER_JOINED)
    install_app(c, w)
