"""Rebuild everything: what an operator asks for, step by step, each of which may be interrupted and repeated.

fill → index → build indices → compare → switch → follow. Which steps are done is read from the world (rows of
`runtime.versions`, positions, generations), never from what a process remembers.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from tailrace.errors import NotFoundError, PreconditionError, ThresholdError
from tailrace.operations.database import connection
from tailrace.rebuilding import followers, shadow
from tailrace.rebuilding.bounded_log import OpenLog, kafka_until
from tailrace.rebuilding.chasing import Chase, chase
from tailrace.rebuilding.comparing import Comparison
from tailrace.rebuilding.filling import FillProgress, fill
from tailrace.rebuilding.indexing import make_indexes
from tailrace.rebuilding.seeding import copy_lost
from tailrace.rebuilding.standing import offsets, places, records_between
from tailrace.rebuilding.switching import Order, Switched, compare_at_once, kept_search, switch
from tailrace.rebuilding.versions import Cutover, Version, Versions
from tailrace.settings import Settings

log = structlog.get_logger()

KEPT_FOR: Final = timedelta(days=7)
"""So long a version that was live can be gone back to before `drop_overdue` takes it."""
FOLLOWED_MAX: Final = 1_000
FOLLOW_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Step:
    """How far a rebuild is. `name` says what it does; `total` and `rate` (units a second) None are unknown."""

    name: str
    done: int = 0
    total: int | None = None
    rate: float | None = None
    unit: str = "records"


Watch = Callable[[Step], None]
"""Told now and then, at safe points. What it raises stops the rebuild there."""

Verify = Callable[[Settings], int]
"""Compares the tables that settings name with the fold of the log; number of differences."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for.

    `with_followers`: a new generation of indices is built beside the live one as well. `open_log` gives the log to be
    filled from, `lost` names the topics (without prefix) of which it has no beginning: what was made of them is copied.
    """

    actor: str
    reason: str
    with_followers: bool = True
    processes: int | None = None
    open_log: OpenLog = kafka_until
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Built:
    """A version that is ready to be switched to, and what the comparison found."""

    version: int
    comparison: Comparison | None
    verified: int | None
    """Differences from the fold of the log; None: not asked for."""


def build(settings: Settings, request: Request, watch: Watch = lambda _step: None) -> int:
    """Fill a new version, or go on with the one that was begun; returns its number. Readers notice nothing.

    Raises `PreconditionError` where the log has lost its beginning or migrations are missing, and what `watch` raises.
    """
    finish(settings, watch)
    drop_overdue(settings, datetime.now(UTC))
    with connection(settings) as conn:
        versions = Versions(conn, settings)
        begun = versions.building()
        version = begun.version if begun else versions.begin(request.reason, request.actor)
    watch(Step("tables"))
    shadow.create(settings, version)
    copy_lost(settings, version, request.lost)
    fill(
        settings, version, None, lambda at: watch(Step("fill", at.done, at.total, at.rate)),
        processes=request.processes, open_log=request.open_log,
    )  # fmt: skip
    watch(Step("indexes"))
    make_indexes(settings, version)
    # What came in while the indexes were made.
    _fill_rest(settings, version, request, watch)
    with connection(settings) as conn:
        Versions(conn, settings).run("version_ready", version)
    if request.with_followers and followers.search_is_used(settings):
        followers.build_indices(settings, lambda name, done, total: watch(Step(name, done, total, unit="documents")))
    return version


def _fill_rest(settings: Settings, version: int, request: Request, watch: Watch) -> None:
    def caught(at: FillProgress) -> None:
        watch(Step("catch up", at.done, at.total, at.rate))

    fill(settings, version, None, caught, processes=request.processes, open_log=request.open_log)


def check(settings: Settings, version: int, verify: Verify | None, watch: Watch = lambda _step: None) -> Built:
    """Compare a version with the live one at one position, and with the fold of the log where `verify` is given."""
    with chase(settings, version) as following:
        return _check(settings, following, version, verify, watch)


def _check(settings: Settings, following: Chase, version: int, verify: Verify | None, watch: Watch) -> Built:
    _close_in(following, watch)
    watch(Step("compare"))
    comparison = compare_at_once(settings, following)
    verified = None
    if verify is not None:
        watch(Step("verify"))
        verified = verify(following.shadow)
    found = comparison.document() | {"at": datetime.now(UTC).isoformat(), "verified": verified}
    with connection(settings) as conn:
        Versions(conn, settings).run("version_compared", version, found)
    return Built(version, comparison, verified)


def switch_over(
    settings: Settings, request: Request, verify: Verify | None = None, watch: Watch = lambda _step: None
) -> tuple[Built, Switched]:
    """Compare the version that is ready with the live one, make it the live one and let caches and indices follow.

    A version that differs from the live one becomes live only where `verify` finds that it is what the log says.
    Raises `ThresholdError` otherwise, `NotFoundError` where no version is ready.
    """
    finish(settings, watch)
    with connection(settings) as conn:
        ready = Versions(conn, settings).building()
    if ready is None or ready.state != "ready":
        raise NotFoundError("no version is ready", fix="tailrace rebuild all --reason …")
    with chase(settings, ready.version) as following:
        built = _check(settings, following, ready.version, verify, watch)
        _demand_equal(built)
        order = Order(
            ready.version, request.actor, request.reason, is_rollback=False, keep_until=datetime.now(UTC) + KEPT_FOR,
            search=followers.built_indices(settings),
        )  # fmt: skip
        watch(Step("switch"))
        switched = _switch(settings, following, order)
    finish(settings, watch)
    return built, switched


def _demand_equal(built: Built) -> None:
    if built.verified:
        raise ThresholdError(
            f"version {built.version} differs from the fold of the log in {built.verified:,} places; it was not shown",
            fix="tailrace rebuild status; this is a fault of the program, please report it",
        )
    if built.comparison and built.comparison.differences and built.verified is None:
        raise ThresholdError(
            f"version {built.version} differs from the live one in {built.comparison.differences:,} rows",
            fix="tailrace rebuild switch --verify: it becomes live if it is what the log says",
        )


def roll_back(settings: Settings, request: Request, watch: Watch = lambda _step: None) -> Switched:
    """Make the version live again that was live before the newest switch, brought up to now first.

    Raises `NotFoundError` where none is kept.
    """
    finish(settings, watch)
    with connection(settings) as conn:
        versions = Versions(conn, settings)
        kept, newest = versions.kept(), versions.cutovers(1)
    if not newest or newest[0].from_version not in {one.version for one in kept}:
        raise NotFoundError("no version is kept to go back to", fix="tailrace rebuild status")
    version = newest[0].from_version
    _fill_rest(settings, version, request, watch)
    with chase(settings, version) as following:
        _close_in(following, watch)
        order = Order(
            version, request.actor, request.reason, is_rollback=True, keep_until=datetime.now(UTC) + KEPT_FOR,
            search=kept_search(newest),
        )  # fmt: skip
        watch(Step("switch"))
        switched = _switch(settings, following, order)
    finish(settings, watch)
    return switched


def _close_in(following: Chase, watch: Watch) -> None:
    while behind := following.behind():
        watch(Step("follow", 0, behind))
        if behind < FOLLOWED_MAX:
            return
        time.sleep(FOLLOW_PAUSE_S)


def _switch(settings: Settings, following: Chase, order: Order) -> Switched:
    with _aliases(settings, order) as aliases:
        if aliases is not None:
            aliases.refresh(dict(order.search))
        switched = switch(settings, following, order)
        if aliases is not None:
            aliases.show(dict(order.search))
    return switched


@contextmanager
def _aliases(settings: Settings, order: Order) -> Iterator[followers.Aliases | None]:
    if not order.search:
        yield None
        return
    with followers.Aliases(settings) as aliases:
        yield aliases


def finish(settings: Settings, watch: Watch = lambda _step: None) -> bool:
    """Finish what an earlier switch left to be done; whether there was anything."""
    return followers.finish(settings, lambda name, done, total: watch(Step(name, done, total, unit="keys")))


@dataclass(frozen=True, slots=True)
class Status:
    """Versions that are there, the newest switches, and how far the version being made is behind the live one."""

    versions: tuple[Version, ...]
    cutovers: tuple[Cutover, ...]
    behind: int | None
    total: int | None

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "live": next(one.version for one in self.versions if one.state == "live"),
            "versions": [one.document() for one in self.versions],
            "cutovers": [one.document() for one in self.cutovers],
            "behind": self.behind,
            "total": self.total,
        }


def status(settings: Settings) -> Status:
    """What there is. Raises `PreconditionError` where migrations are missing."""
    with connection(settings) as conn:
        versions = Versions(conn, settings)
        found = Status(tuple(versions.all()), tuple(versions.cutovers()), None, None)
        building = versions.building()
    if building is None:
        return found
    live = offsets(places(settings))
    try:
        own = offsets(places(shadow.shadow_settings(settings, building.version)))
    except PreconditionError:  # its tables are not made yet
        own = {}
    return replace(found, behind=records_between(own, live), total=sum(live.values()))


def drop(settings: Settings, version: int) -> bool:
    """Give up a version that is not live, with the generations of indices that were kept for it.

    Raises `NotFoundError`, and `PreconditionError` for the live one.
    """
    with connection(settings) as conn:
        versions = Versions(conn, settings)
        one, cutovers = versions.named(version), versions.cutovers()
    if one.state == "live":
        raise PreconditionError(f"version {version} is the live one", fix="tailrace rebuild rollback")
    was_there = shadow.drop(settings, version)
    if one.state == "kept":
        shown = next((cut.search for cut in cutovers if cut.from_version == version), {})
        followers.drop_indices(settings, {alias: before for alias, (before, _) in shown.items()})
    elif one.state in {"filling", "ready"}:
        followers.drop_indices(settings, followers.built_indices(settings))
    with connection(settings) as conn:
        Versions(conn, settings).run("version_dropped", version)
    return was_there


def drop_overdue(settings: Settings, now: datetime) -> list[int]:
    """Drop the versions whose time to be gone back to is over at `now` (aware); returns their numbers."""
    with connection(settings) as conn:
        overdue = [
            one.version
            for one in Versions(conn, settings).kept()
            if one.kept_until is not None and one.kept_until <= now
        ]
    for version in overdue:
        drop(settings, version)
    return overdue
