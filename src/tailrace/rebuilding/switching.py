"""The switch: one transaction after which the live names mean another version, for every reader and every worker.

Workers are held at their progress rows; the other version is brought to exactly their positions; readers' transactions
are waited for; then schemas change names, what belongs to no version changes place, and caches and search documents
get a new epoch. Positions, epochs and owners go along, so workers go on in the middle of their work: the statement that
they wait in finds its row in the other version's table.

Nothing of it is seen before COMMIT, and a crash before it leaves nothing.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
import structlog
from psycopg import errors

from tailrace.errors import PreconditionError
from tailrace.operations import migrations
from tailrace.operations.database import connection
from tailrace.projections.registry import POSTGRES
from tailrace.rebuilding.chasing import Chase
from tailrace.rebuilding.comparing import Comparison, compare
from tailrace.rebuilding.grants import align_grants
from tailrace.rebuilding.renaming import rename_schemas, tables_of
from tailrace.rebuilding.shadow import align_months, shadow_settings
from tailrace.rebuilding.standing import Places, offsets, places
from tailrace.rebuilding.versions import Versions
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, quoted, render, schema_names

log = structlog.get_logger()

HOLD_WAIT_MS: Final = 2_000
"""A worker's open batch may take so long to end."""
HELD_MAX_S: Final = 5.0
"""Workers give up waiting after `lock_timeout_ms` (10 s); they are let go well before that."""
READERS_WAIT_MS: Final = 300
READERS_ALL_WAIT_MS: Final = 700
"""New readers queue behind us while we wait for old ones, at one table and at all: less than PostgreSQL's
`deadlock_timeout` (1 s), after which a reader might be ended for our sake."""
READERS_PAUSE_S: Final = 0.1
BEHIND_MAX: Final = 5_000
"""Records behind the live version up to which the rest is applied while workers are held."""
ATTEMPTS_MAX: Final = 60
ATTEMPT_PAUSE_S: Final = 1.0

_LOCKED: Final = (errors.LockNotAvailable, errors.DeadlockDetected, errors.QueryCanceled)


class _NotNowError(Exception):
    """This attempt failed for a reason that passes; everything is as before."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a switch is to do. `search` maps an alias to the generation of indices that is to be shown."""

    to_version: int
    actor: str
    reason: str
    is_rollback: bool
    keep_until: datetime
    search: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Switched:
    """What it did; `held_ms` is how long workers waited."""

    cutover_id: int
    from_version: int
    held_ms: int
    cache_generation: int | None


def check_levels(conn: psycopg.Connection[Any], settings: Settings, version: int) -> None:
    """Raise `PreconditionError` unless the version has the schema that the live one has."""
    live = migrations.status(conn, settings)
    beside = migrations.status(conn, shadow_settings(settings, version))
    if [(m.number, m.checksum) for m in live.applied] != [(m.number, m.checksum) for m in beside.applied]:
        raise PreconditionError(
            f"version {version} has the schema of another release",
            fix=f"tailrace rebuild drop {version}, then tailrace rebuild",
        )


def compare_at_once(settings: Settings, chase: Chase) -> Comparison:
    """Compare the live version with the chase's at one position; workers are held only until both stand there."""
    with connection(settings) as comparing:

        def look(held: Places) -> None:
            comparing.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if offsets(places(chase.shadow, comparing)) != offsets(held):
                comparing.execute("ROLLBACK")
                raise _NotNowError("positions")

        _attempt(settings, chase, lambda _conn, held, _began: look(held))
        try:
            comparing.execute("SET LOCAL timezone = 'UTC'")
            return compare(comparing, settings, chase.shadow)
        finally:
            comparing.execute("ROLLBACK")


def switch(settings: Settings, chase: Chase, order: Order) -> Switched:
    """Make the chase's version the live one. Raises `PreconditionError` where the world does not stand still enough."""
    with connection(settings) as conn:
        check_levels(conn, settings, order.to_version)
        align_months(conn, settings, chase.shadow)
        align_grants(conn, settings, order.to_version)
    done: list[Switched] = []

    def change(conn: psycopg.Connection[Any], held: Places, began: float) -> None:
        before, beside = places(settings, conn), places(chase.shadow, conn)
        if {tp: (p.next_offset, p.fingerprint) for tp, p in before.items()} != {
            tp: (p.next_offset, p.fingerprint) for tp, p in beside.items()
        }:
            raise PreconditionError(
                "the two versions read different records at the same offsets, or one has a partition more",
                fix="tailrace rebuild drop, then tailrace rebuild",
            )
        chase.rest()
        _wait_for_readers(conn, settings, began)
        done.append(_change(conn, settings, order, held, began))

    _attempt(settings, chase, change)
    log.info("version_switched", to=order.to_version, held_ms=done[0].held_ms)
    return done[0]


def _attempt(settings: Settings, chase: Chase, step: Any) -> None:
    """Hold the workers, bring the version to where they stand, do the step; later again where that takes too long."""
    for _ in range(ATTEMPTS_MAX):
        if chase.behind() > BEHIND_MAX:
            time.sleep(ATTEMPT_PAUSE_S)
            continue
        with connection(settings) as conn:
            try:
                with _held(conn, settings) as (held, began), chase.held_at(offsets(held), HELD_MAX_S / 2) as is_there:
                    _demand(is_there, "behind")
                    step(conn, held, began)
            except (*_LOCKED, _NotNowError) as error:
                log.info("switch_waits", why=type(error).__name__)
                time.sleep(ATTEMPT_PAUSE_S)
                continue
            return
    raise PreconditionError(
        f"no moment was found in {ATTEMPTS_MAX} attempts: transactions are open for too long, or the log comes in"
        " faster than it is applied",
        fix="look at pg_stat_activity for old transactions, then run the same again",
    )


def _demand(is_so: bool, what: str) -> None:  # noqa: FBT001 - one fact
    if not is_so:
        raise _NotNowError(what)


@contextmanager
def _held(conn: psycopg.Connection[Any], settings: Settings) -> Iterator[tuple[Places, float]]:
    """A transaction during which no batch of any projection begins or ends; (live positions, when it began to hold)."""
    began = time.monotonic()
    with conn.transaction():
        conn.execute(f"SET LOCAL lock_timeout = {HOLD_WAIT_MS}".encode())
        conn.execute(f"SET LOCAL idle_in_transaction_session_timeout = {round(HELD_MAX_S * 2_000)}".encode())
        conn.execute(render(queries("cutover")["hold_workers"], schema_names(settings.postgres)).encode())
        yield places(settings, conn), began


def _wait_for_readers(conn: psycopg.Connection[Any], settings: Settings, began: float) -> None:
    """Lock every table once no transaction reads any of them: whoever comes now sees the other version, or waits."""
    schemas = schema_names(settings.postgres).values()
    names = ", ".join(f"{quoted(schema)}.{quoted(name)}" for schema, name in tables_of(conn, schemas))
    while True:
        try:
            with conn.transaction():  # a savepoint: what was locked is let go when the rest cannot be had
                conn.execute(f"SET LOCAL lock_timeout = {READERS_WAIT_MS}".encode())
                conn.execute(f"SET LOCAL statement_timeout = {READERS_ALL_WAIT_MS}".encode())
                conn.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
                conn.execute("SET LOCAL statement_timeout = 0")
        except _LOCKED as error:
            if time.monotonic() - began > HELD_MAX_S:
                raise _NotNowError("readers") from error
            time.sleep(READERS_PAUSE_S)
        else:
            return


def _change(conn: psycopg.Connection[Any], settings: Settings, order: Order, held: Places, began: float) -> Switched:
    versions = Versions(conn, settings)
    before = versions.live().version
    _take_over(conn, settings, order.to_version)
    rename_schemas(conn, settings, before, order.to_version)
    if not versions.run("swap_versions", before, order.to_version, order.keep_until):
        raise PreconditionError("another switch was made meanwhile", fix="tailrace rebuild status")
    shown = _show_generations(versions, order.search)
    if versions.run("raise_search_epochs")[0]["made_at"] is not None:
        for alias in sorted({row["alias"] for row in versions.run("search_generations")}):
            versions.run("request_refill", alias)
    versions.run("close_cache_rebuild")
    opened = versions.run("open_cache_generation")
    generation = opened[0]["generation"] if opened else None
    held_ms = round((time.monotonic() - began) * 1_000)
    row = (before, order.to_version, order.is_rollback, order.actor, order.reason, _positions(held), shown)
    cutover = versions.run("record_cutover", *row, generation, held_ms)
    return Switched(cutover[0]["cutover_id"], before, held_ms, generation)


def _show_generations(versions: Versions, wanted: Mapping[str, int]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    rows = versions.run("search_generations")
    there = {(row["alias"], row["generation"]) for row in rows}
    for row in rows:
        number = wanted.get(row["alias"])
        if row["state"] != "live" or number in {None, row["generation"]} or (row["alias"], number) not in there:
            continue
        versions.run("keep_shown_generation", row["alias"])
        versions.run("show_generation", row["alias"], number)
        shown[row["alias"]] = [row["generation"], number]
    return shown


def _take_over(conn: psycopg.Connection[Any], settings: Settings, version: int) -> None:
    """Bring over what the log does not say: positions of followers, fates of dead letters, waiting times."""
    schemas = schema_names(settings.postgres)
    beside = quoted(shadow_settings(settings, version).postgres.schema_runtime)
    for name in _TAKEN_OVER:
        text = render(queries("cutover")[name], schemas).replace("{next}", beside)
        psycopg.RawCursor(conn).execute(text.encode(), (POSTGRES.name,))


_TAKEN_OVER: Final = (
    "take_positions", "forget_followers", "take_followers", "forget_letters_of_followers", "take_letters_of_followers",
    "take_orphans", "unpark_orphans", "take_fates_of_letters", "take_waiting_times",
)  # fmt: skip


def _positions(held: Places) -> dict[str, Any]:
    found: dict[str, dict[str, int]] = {}
    for tp, place in sorted(held.items()):
        found.setdefault(tp.topic, {})[str(tp.partition)] = place.next_offset
    return found


def kept_search(cutovers: Iterable[Any]) -> dict[str, int]:
    """The generations that were shown before the newest switch, by alias."""
    for one in cutovers:
        return {alias: before for alias, (before, _) in one.search.items()}
    return {}
