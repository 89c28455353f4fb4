"""What of a notification follows from other rows: whether its message was withdrawn, and whether it has been read."""

from operator import itemgetter

from tailrace.consumers.postgres.effects import PlainWork
from tailrace.consumers.postgres.messages import MessageWork
from tailrace.consumers.postgres.session import Session
from tailrace.projections.channels import CHANNEL_MEMBERS
from tailrace.projections.directory import USERS
from tailrace.projections.notifications import NOTIFICATIONS
from tailrace.projections.registers import Row


async def refresh_notifications(session: Session, plain: PlainWork, messages: MessageWork) -> None:
    """Bring `withdrawn_at` and `read_at` in line, after everything else of the batch is stored.

    `withdrawn_at` is the message's `deleted_at`. A notification has `read_at` exactly while its recipient's position in
    the channel is at or past its `created_at`; the value is the first such position that was known. Batches with
    notifications run alone (see `sink.STRUCTURAL_TOPICS`), so nothing changes beside what is looked at here.
    """
    if new := sorted(key[0] for key in plain.keys(NOTIFICATIONS)):
        await session.fetch("refresh_notifications", new)
    if members := sorted(plain.keys(CHANNEL_MEMBERS)):
        columns = tuple(zip(*members, strict=True))
        await session.fetch("read_notifications", *columns)
        await session.fetch("unread_notifications", *columns)
    if deleted := sorted(_deletions(messages).items(), key=itemgetter(0)):
        ids = [message_id for message_id, _ in deleted]
        await session.fetch("withdraw_notifications", ids, [row["deleted_at"] for _, row in deleted])
    if erased := sorted(plain.ended.get(USERS.table, ())):
        await session.fetch("withdraw_notifications_of_authors", erased)


def _deletions(messages: MessageWork) -> dict[str, Row]:
    """Rows of this batch that a delete or a restore has touched, now or before; new ones only if they are deleted."""
    stored = {message_id: messages.stored[message_id] for message_id in messages.changed}
    touched = {message_id: row for message_id, row in stored.items() if "deleted" in (row["registers"] or {})}
    rows = messages.postings.rows
    new = {message_id: rows[message_id] for message_id in messages.finished if rows[message_id]["is_deleted"]}
    return touched | new
