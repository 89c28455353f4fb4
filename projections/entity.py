"""What a projected row is: a table, its key, the events that change it and the pure function that folds them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tailrace.projections.registers import Row
from tailrace.schemas.event import Event

Key = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Entity:
    """One kind of row, folded from its events by registers.

    `fold(row, event)` changes `row` in place and returns whether anything changed. It may not assume an order, may be
    called with the same event again, and sees only events whose `data` holds the key's columns. `columns` are those
    the fold writes; columns derived from other tables are not among them and are never overwritten.
    """

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    types: frozenset[str]
    fold: Callable[[Row, Event], bool]
    defaults: Row = field(default_factory=dict)
    absent: Callable[[Row], bool] | None = None
    """Rows for which this holds are not in the table; their registers are kept as tombstones."""

    def key_of(self, event: Event) -> Key:
        """Key of the row that the event changes."""
        return tuple(event.data[column] for column in self.key)

    def new_row(self, key: Key) -> Row:
        """Row before any event."""
        row: Row = dict.fromkeys(self.columns)
        row |= self.defaults
        row["registers"] = {}
        row |= zip(self.key, key, strict=True)
        return row


def by_key(entity: Entity, events: Iterable[Event]) -> dict[Key, list[Event]]:
    """Group the events of this entity by the key of the row they change, in log order."""
    grouped: dict[Key, list[Event]] = {}
    for event in events:
        if event.type in entity.types:
            grouped.setdefault(entity.key_of(event), []).append(event)
    return grouped


def fold_all(entity: Entity, rows: dict[Key, Row], grouped: dict[Key, list[Event]]) -> dict[Key, Row]:
    """Fold grouped events into the loaded `rows` (missing ones start empty); returns only the rows that changed."""
    changed: dict[Key, Row] = {}
    for key, events in grouped.items():
        row = rows.get(key) or entity.new_row(key)
        outcomes = [entity.fold(row, event) for event in events]
        if any(outcomes):
            changed[key] = row
    return changed
