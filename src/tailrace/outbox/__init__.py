"""The transactional outbox: events that are in the log exactly if the transaction that made them was committed."""

from tailrace.outbox.enqueueing import Outbox

__all__ = ["Outbox"]
