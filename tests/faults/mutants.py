"""Deliberate faults of the PostgreSQL worker, each of which the ordeal must notice: what it proves is what it catches.

A mutant replaces a piece of code or of SQL for the time of one test. `OLD` must stand in the original, so a mutant that
no longer fits the code fails loudly instead of testing nothing.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from tailrace.consumers import applying
from tailrace.consumers.postgres import apply, isolating, letters, messages, parking, session, sink
from tailrace.projections import messages as message_folds
from tailrace.projections import postings, registers, rollups

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """One fault; `patch` plants it."""

    name: str
    patch: Patch

    def __str__(self) -> str:
        return self.name


def code(owner: Any, name: str, old: str, new: str) -> Patch:
    """Replace a piece of the source of a function or method."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        function = inspect.unwrap(getattr(owner, name))
        source = textwrap.dedent(inspect.getsource(function))
        assert old in source, f"{name} no longer holds: {old}"
        namespace: dict[str, Any] = {}
        scope = dict(function.__globals__)
        exec(source.replace(old, new), scope, namespace)  # noqa: S102 - our own source, changed in one place
        monkeypatch.setattr(owner, name, namespace[name])
        for module in (apply, messages, sink, applying):
            if isinstance(owner, ModuleType) and getattr(module, name, None) is function:
                monkeypatch.setattr(module, name, namespace[name])

    return patch


def statement(name: str, old: str, new: str) -> Patch:
    """Replace a piece of a named SQL statement."""
    original = session.queries

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        def mutated(file: str) -> Mapping[str, str]:
            texts = dict(original(file))
            if name in texts:
                assert old in texts[name], f"{name} no longer holds: {old}"
                texts[name] = texts[name].replace(old, new)
            return texts

        monkeypatch.setattr(session, "queries", mutated)

    return patch


async def _no_letters(*_arguments: Any) -> int:
    return 0


def _no_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters.Letters, "write", _no_letters)


def _no_parking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking.Parking, "park", lambda *_: None)


def _ties_by_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    code(registers, "take", "(event.sequence, event.id) <= (held[0], held[1])", "event.sequence < held[0]")(monkeypatch)
    for module in (message_folds,):
        monkeypatch.setattr(module, "take", registers.take)


DIES_AFTER_COMMIT = """\
    await connection.execute("COMMIT")
    await connection.execute(self._begin)
    if self.rng.random() < 0.3:
        raise ConnectionResetError
"""
"""A commit too early, and now and then the fault in the gap behind it, which chance alone would seldom hit."""

MUTANTS = (
    Mutant(
        "no compare-and-set",
        statement("advance", "p.epoch = b.epoch AND p.next_offset = b.expected AND", ""),
    ),
    Mutant("no epoch", statement("claim", "epoch = p.epoch + 1", "epoch = p.epoch")),
    Mutant(
        "progress committed before its effects",
        code(
            sink.PostgresSink,
            "_transaction",
            "    letters = Letters(",
            f"{DIES_AFTER_COMMIT}    letters = Letters(",
        ),
    ),
    Mutant("parked events dropped", _no_parking),
    Mutant("ties go to whoever comes last", _ties_by_arrival),
    Mutant("dead letters not written", _no_dead_letters),
    Mutant(
        "dead letters after the commit",
        code(
            sink.PostgresSink,
            "_transaction",
            "    outcome.refused = await letters.write()",
            f"{DIES_AFTER_COMMIT}    outcome.refused = await letters.write()",
        ),
    ),
    Mutant(
        "a batch with poison is given up whole",
        code(isolating.Isolation, "_divide", "if len(events) > 1:", "if False:"),
    ),
    Mutant("edits in the order of arrival", code(message_folds, "_take_edit", "chain.sort(", "(lambda **_: None)(")),
    Mutant(
        "every retried post is a message",
        code(postings.Postings, "_primary", "< CLIENT_ID_WINDOW", "< -CLIENT_ID_WINDOW"),
    ),
    Mutant(
        "threads are never resolved again",
        code(postings.Postings, "seeds", "seeds = set(self.unresolved)", "return set()"),
    ),
    Mutant(
        "a removal ends no channel membership", statement("refresh_channel_members", "d.removed_at IS NULL AND", "")
    ),
    Mutant("an erasure leaves the texts", statement("erase_messages", "content = ''", "content = m.content")),
    Mutant("posts after an erasure show", statement("erased_users", "erased_at IS NOT NULL", "false")),
    Mutant(
        "reactions are not recomputed", statement("recompute_reactions", "m.message_id = k.message_id AND", "false AND")
    ),
    Mutant("replies are not recounted", statement("recount_replies", "m.message_id = r.message_id AND", "false AND")),
    Mutant(
        "the last message never rewinds",
        statement("recount_last_message", "c.channel_id = k.channel_id AND", "false AND"),
    ),
    Mutant(
        "infected files show", statement("refresh_has_files", "IS DISTINCT FROM 'infected'", "IS DISTINCT FROM 'x'")
    ),
    Mutant(
        "a reaction that moves counts twice",
        code(rollups.Rollups, "reacted", "((before, -1), (now, 1))", "((now, 1),)"),
    ),
    Mutant(
        "members count at every arrival",
        statement(
            "add_day_members",
            "ON CONFLICT DO NOTHING",
            "ON CONFLICT (workspace_id, date, user_id) DO UPDATE SET date = excluded.date",
        ),
    ),
)
