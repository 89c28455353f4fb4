"""The demo's report in words: what a newcomer reads at the end."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tailrace.demo.children import own_command
from tailrace.demo.interruption import Interruption
from tailrace.demo.outcome import Outcome
from tailrace.settings import Settings
from tailrace.stack.servers import given_address

Rows = list[list[Any]]

_QUERY: Final = "SELECT day_utc, messages, replies, active_users FROM daily_activity ORDER BY messages DESC LIMIT 5"


def story(outcome: Outcome) -> list[tuple[str, str]]:
    """What happened: label and text, in the order of time."""
    running = [f"{name} {version}".rstrip() for name, version in outcome.servers.items() if version is not None]
    scene, whole = outcome.scene, outcome.records_before + outcome.published.records
    return [
        ("servers", ", ".join(running)),
        *outcome.traffic.story(),
        *_interruption(outcome.interruption),
        ("applied", f"{scene.applied:,} records, up to {scene.applied_rate_max:,.0f} a second"),
        ("verified", f"{outcome.rows:,} rows against an independent fold of the whole log, {whole:,} records"),
    ]


def _interruption(cut: Interruption) -> Iterator[tuple[str, str]]:
    if cut.killed_at_published is not None:
        yield "killed", f"the worker, with SIGKILL, {cut.killed_at_published:,} records into the stream"
    if cut.back_after_s is not None:
        later = "" if cut.caught_up_after_s is None else f"; caught up {cut.caught_up_after_s:.1f} s later"
        waited = f"Kafka waits that long for the dead one; {cut.waited_when_back or 0:,} records had piled up"
        yield "back", f"another worker, {cut.back_after_s:.1f} s later: {waited}{later}"


def tables(outcome: Outcome) -> tuple[list[str], Rows]:
    """Columns and rows: every table with its rows and what is wrong with them."""
    rows: Rows = [[name, report.checked, report.count] for name, report in outcome.verification.reports.items()]
    return ["TABLE", "ROWS", "DIFFERENCES"], rows


def dead_letters(outcome: Outcome) -> tuple[list[str], Rows]:
    """Columns and rows: dead letters of this run by code, how many there had to be, all there are, an example."""
    expected = outcome.traffic.refusals()
    found = {letters.code: letters for letters in outcome.dead_letters}
    rows: Rows = []
    for code in sorted(expected.keys() | found.keys()):
        letters = found.get(code)
        new, total, reason = (letters.new, letters.total, letters.reason) if letters else (0, 0, None)
        rows.append([code, new, expected.get(code, 0), total, reason])
    return ["CODE", "NEW", "EXPECTED", "ALL", "FOR EXAMPLE"], rows


def notifications(outcome: Outcome) -> tuple[list[str], Rows]:
    """Columns and rows: how many were told of something, by kind."""
    rows: Rows = [[one.kind, one.raised, one.withdrawn, one.read] for one in outcome.derived.notified]
    return ["KIND", "RAISED", "WITHDRAWN", "READ"], rows


def hottest(outcome: Outcome) -> tuple[list[str], Rows]:
    """Columns and rows: the five minutes in which most happened, anywhere."""
    rows: Rows = [
        [
            f"{one.window_start:%m-%d %H:%M}", one.messages, one.reactions, one.active_users, f"{one.hot_score:.2f}",
            f"{one.channel or 'a conversation'} ({one.workspace or 'unknown'})",
        ]
        for one in outcome.derived.hottest
    ]  # fmt: skip
    return ["FROM", "MESSAGES", "REACTIONS", "PEOPLE", "SCORE", "CHANNEL"], rows


def next_steps(settings: Settings, *, stopped: bool = False) -> list[tuple[str, str]]:
    """Command and what it is good for; `stopped` says that the servers do not run any more."""
    name = shown_command()
    steps = [(f"{name} up", "start the servers again; their data is there")] if stopped else []
    steps += [
        (f"{name} status", "what runs, and how far the projections are"),
        (f"{name} query run workspaces", "the companies; `query ls` shows what else can be asked"),
        (f"{name} sql -- -c '{_QUERY}'", "look into the tables with psql"),
        (f"{name} verify messages", "compare a table again"),
        (f"{name} worker run", "apply what comes, in this terminal …"),
        (f"{name} streams run", "… raise notifications and count trends in a second one …"),
        (f"{name} gen --to kafka --rate 500/s", "… while another one publishes"),
        (f"{name} demo", "the same again, with another company"),
    ]
    if not stopped and (given_address(settings, "kafka") is None or given_address(settings, "postgres") is None):
        steps.append((f"{name} down", "stop the servers; with --purge, delete their data too"))
    return steps


def shown_command() -> str:
    """How this person types `tailrace`: by name if the shell finds this very one, else by its path from here."""
    own = Path(own_command()[0])
    if own.name != "tailrace":
        return "tailrace"
    found = shutil.which("tailrace")
    if found is not None and Path(found).resolve() == own.resolve():
        return "tailrace"
    return min(str(own), os.path.relpath(own), key=len)
