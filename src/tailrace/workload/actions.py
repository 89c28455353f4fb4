"""Everything that can happen, by the names that a profile's mix uses."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tailrace.workload import apps, channels, directory, files, messages, signals
from tailrace.workload.company import Company, Workspace

Action = Callable[[Company, Workspace], None]
"""Writes at least one event, now, and may plan more; what is not possible at the moment becomes a post."""

_ALL: Final[tuple[Action, ...]] = (
    messages.post, messages.reply, messages.retry, messages.bot_post, messages.system_post, messages.edit,
    messages.delete, messages.restore, messages.pin, messages.unpin, messages.react, messages.unreact, messages.read,
    messages.mark_unread, channels.open_dm, channels.join_channel, channels.leave_channel, channels.rejoin_channel,
    channels.tune_channel, channels.create_channel, channels.change_channel, channels.archive_channel,
    channels.unarchive_channel, channels.delete_channel, files.upload, files.access_file, files.share_file,
    files.unshare_file, files.delete_file, signals.activity, signals.session, signals.presence, signals.typing,
    directory.change_user, directory.swap_usernames, directory.suspend_user, directory.change_preferences,
    directory.change_member, directory.remove_member, directory.invite_back, directory.invite, apps.install_app,
    apps.change_app, apps.remove_app, directory.change_workspace,
)  # fmt: skip

ACTIONS: Final[Mapping[str, Action]] = MappingProxyType({action.__name__: action for action in _ALL})
