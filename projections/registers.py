"""Rule R: a register changes only when the event's (sequence, id) is greater than the one that holds it.

Registers of a row live in its `registers` column: name → [sequence, event id, time, …]. Times are RFC 3339 UTC text
with six digits, so that they compare as text and pass through JSON unchanged.
"""

from datetime import UTC, datetime
from typing import Any

from tailrace.schemas.event import Event

Row = dict[str, Any]
Registers = dict[str, list[Any]]


def stamp(moment: datetime) -> str:
    """RFC 3339 UTC with six digits, the only form in which a time enters JSON (two forms would differ as text)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """Read a stamp back."""
    return datetime.fromisoformat(text)


def take(registers: Registers, name: str, event: Event, *extra: Any) -> bool:
    """Let `event` hold the register if it is newer; True where it now does. Ties go to the greater event id."""
    held = registers.get(name)
    if held is not None and (event.sequence, event.id) <= (held[0], held[1]):
        return False
    registers[name] = [event.sequence, event.id, stamp(event.time), *extra]
    return True


def take_lowest(registers: Registers, name: str, event: Event) -> bool:
    """The opposite of `take`: the event with the lowest (sequence, id) holds it (ruling 9: what created a row)."""
    held = registers.get(name)
    if held is not None and (event.sequence, event.id) >= (held[0], held[1]):
        return False
    registers[name] = [event.sequence, event.id, stamp(event.time)]
    return True


def held_at(registers: Registers, name: str) -> datetime | None:
    """Event time of the event that holds the register."""
    held = registers.get(name)
    return None if held is None else moment(held[2])


def latest(registers: Registers, *names: str) -> datetime | None:
    """Greatest event time among the holders of these registers (ruling 10: `updated_at`)."""
    times = [registers[name][2] for name in names if name in registers]
    return moment(max(times)) if times else None


def assign(row: Row, data: Row, columns: tuple[str, ...]) -> None:
    """Write the register's columns; an absent optional field writes null, as an update carries the full state."""
    for column in columns:
        row[column] = data.get(column)
