"""From the whole log to what every contract table must contain."""

from collections.abc import Iterable

from tailrace.schemas.event import Event
from tailrace.verification import (
    fold_analytics,
    fold_channels,
    fold_directory,
    fold_files,
    fold_messages,
    fold_reactions,
    fold_sessions,
)
from tailrace.verification.fold_log import Log, Table
from tailrace.verification.fold_membership import Endings
from tailrace.verification.fold_message_table import MessageTable
from tailrace.verification.fold_threads import Threads


def fold(events: Iterable[Event]) -> dict[str, Table]:
    """Expected content of the tables, from the complete decoded log; the order of `events` does not matter.

    The log's order is (topic, partition, offset), which every event must carry. The result maps a table's name
    (CONTRACT section 2; those of `analytics` with their schema) to {key: {column: value}}. Keys are the table's key
    columns in the contract's order; ids are `str`, times aware UTC `datetime`, days `date`, jsonb Python values. What
    the rulings leave open is a column absent from its row, or a `OneOf`; a `FreeRow` may exist or not. Events whose
    message or file never came are parked and count nowhere. Nothing is refused here: decoding did that.
    """
    log = Log(events)
    endings = Endings(log)
    postings = fold_messages.Postings(log)
    messages = fold_messages.Messages(log, postings, endings)
    reactions = fold_reactions.reactions_of(log, postings)
    standing = fold_reactions.standing(reactions, endings)
    files = fold_files.uploaded_files(log)
    shares = fold_files.current_shares(log, postings, files)
    sessions = fold_sessions.sessions(log)
    members = fold_directory.workspace_members(log, endings, fold_sessions.last_seen(log))
    channel_members = fold_channels.channel_members(log, endings)
    sent = fold_analytics.Sent(postings.posted.values())
    threads = Threads(postings)
    # Most messages have nothing of this, and looking for it in vain costs more than putting it where it belongs.
    table = MessageTable(postings.posted, threads.ids)
    messages.touch(table)
    for root, replies in threads.replies(messages).items():
        table.change(root, {"reply_count": replies.count, "last_reply_at": replies.last_at})
    for message_id, users in fold_reactions.reactions_column(standing).items():
        table.change(message_id, {"reactions": users})
    for message_id, has_files in fold_files.messages_with_files(shares, files, endings).items():
        if not messages.is_erased(message_id):
            table.change(message_id, {"has_files": has_files})
    doings = fold_analytics.Doings(fold_analytics.facts(log, sent, reactions, files))
    return {
        "users": fold_directory.users(log),
        "workspaces": fold_directory.workspaces(log, members),
        "workspace_members": members,
        "workspace_invitations": fold_directory.workspace_invitations(log),
        "channels": fold_channels.channels(log, channel_members, fold_messages.last_message_at(messages)),
        "channel_members": channel_members,
        "channel_pins": fold_messages.channel_pins(messages),
        "messages": table,
        "message_reactions": fold_reactions.message_reactions(standing, messages),
        "files": fold_files.files_table(files, endings),
        "message_files": fold_files.message_files(shares),
        "integrations": fold_directory.integrations(log),
        "sessions": sessions,
        "analytics.events": fold_analytics.events_table(log),
        "analytics.daily_active_users": fold_analytics.daily_active_users(doings),
        "analytics.message_analytics": fold_analytics.message_analytics(sent),
        "analytics.user_activity": fold_analytics.user_activity(doings, sessions),
    }
