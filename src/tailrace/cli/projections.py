"""How projections are drawn: the table of `status`, `lag` and `projection ls`, and their JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tailrace.cli.output import note, print_table

if TYPE_CHECKING:
    from tailrace.operations.overview import ProjectionStatus

MARKS: Final = {
    "new": "?", "current": "○", "behind": "●", "slow": "◐", "paused": "‖", "drained": "‖", "down": "✗", "halted": "✗",
}  # fmt: skip
"""A mark beside each word, so that the eye finds what is not as it should be, without colour."""

ATTENTION: Final = ("slow", "down", "halted")

HINTS: Final = {
    "slow": "tailrace projection show {name}",
    "down": "records wait and no worker runs: tailrace worker run {name}",
    "paused": 'tailrace projection resume {name} --reason "…"',
    "drained": 'tailrace projection resume {name} --reason "…"',
}

CAUSE_CHARS_MAX: Final = 60
DAY_S: Final = 86_400

COLUMNS: Final = [
    "PROJECTION", "STATE", "PARTS", "LAG", "BEHIND", "BY EVENT", "RATE/s", "DEAD", "PARKED", "DATA TO (UTC)",
    "LAST ERROR",
]  # fmt: skip


def projections_document(found: Sequence["ProjectionStatus"]) -> dict[str, Any]:
    """Projections as JSON; what is not known is null."""
    return {"projections": {one.name: one.document() for one in found}}


def row_of(one: "ProjectionStatus") -> list[Any]:
    """One line of the table; None is drawn as `–`."""
    data_to = one.position.event_time
    return [
        one.name,
        f"{MARKS[one.state]} {one.state}",
        f"{'–' if one.claimed is None else one.claimed}/{len(one.position.partitions)}",
        one.position.lag,
        duration(one.behind_s),
        duration(one.behind_event_s),
        None if one.rate is None else f"{one.rate:,.0f}",
        one.position.dead_letters,
        one.position.parked,
        None if data_to is None else data_to.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        _trouble(one),
    ]


def _trouble(one: "ProjectionStatus") -> str | None:
    if one.is_paused and one.control is not None:
        return f'paused by {one.control.actor}: "{one.control.reason}"'
    if one.last_error is None:
        return None
    at = one.last_error.at
    cause = one.last_error.cause
    said = f"{one.last_error.code} {cause if len(cause) <= CAUSE_CHARS_MAX else cause[: CAUSE_CHARS_MAX - 1] + '…'}"
    return said if at is None else f"{said} {_when(at, one.now)}"


def _when(at: datetime, now: datetime) -> str:
    at = at.astimezone(UTC)
    return at.strftime("%H:%M" if (now - at).total_seconds() < DAY_S else "%Y-%m-%d %H:%M")


def duration(seconds: float | None) -> str | None:
    """`0s`, `0.4s`, `31.7s`, `5m12s`, `3h05m`, `2d4h`."""
    if seconds is None:
        return None
    if seconds < 60:  # noqa: PLR2004 - of a minute
        return f"{seconds:.1f}s" if seconds else "0s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def footer(found: Sequence["ProjectionStatus"]) -> str:
    """How many there are, which need attention, how many events were refused, and of when it is."""
    bad = [one.name for one in found if one.state in ATTENTION]
    paused = [one.name for one in found if one.is_paused]
    parts = [f"{len(bad)} need{'s' if len(bad) == 1 else ''} attention ({', '.join(bad)})"] if bad else []
    parts += [f"{len(paused)} paused ({', '.join(paused)})"] if paused else []
    letters = sum(one.position.dead_letters for one in found)
    parts += [f"{letters:,} dead letter{'' if letters == 1 else 's'}"] if letters else []
    needs = " · ".join(parts or ["all is well"])
    asof = max((one.now for one in found), default=None)
    when = "" if asof is None else f" · data as of {asof.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    return f"{len(found)} projection{'' if len(found) == 1 else 's'} · {needs}{when}"


def print_projections(found: Sequence["ProjectionStatus"]) -> None:
    """The table on stdout; on stderr each halted partition with its way out, and what to look at."""
    from tailrace.operations.halts import way_out

    print_table(COLUMNS, [row_of(one) for one in found])
    for one in found:
        for p in one.position.halted:
            note(f"{one.name}: {p.topic}/{p.partition} halted ({p.halted_code}): {p.halted_reason}")
            note(f"  fix  {way_out(one.name, p)}")
    note(footer(found))
    for one in found:
        if hint := HINTS.get(one.state):
            note(f"hint  {hint.format(name=one.name)}")
    if any(one.position.dead_letters for one in found):
        note("hint  tailrace dlq ls")
