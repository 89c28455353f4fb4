"""Notifications as the stream raised them. What withdrew them and whether they were read is derived from other rows."""

from tailrace.projections.entity import Entity
from tailrace.projections.registers import Row, assign, take
from tailrace.schemas.event import Event

_RAISED = ("user_id", "workspace_id", "kind", "channel_id", "message_id", "actor_id", "created_at")


def _fold_notification(row: Row, event: Event) -> bool:
    if not take(row["registers"], "raised", event):
        return False
    assign(row, event.data, _RAISED)
    return True


NOTIFICATIONS = Entity(
    table="collab.notifications",
    key=("notification_id",),
    columns=(*_RAISED, "registers"),
    types=frozenset({"collab.notification.raised"}),
    fold=_fold_notification,
)
