"""A seeded schedule: which faults, when, on what, and for how long. Nothing here touches a process or a server."""

import random
from dataclasses import dataclass
from typing import Final, Literal

from tailrace.consumers.crash_points import POINTS

Kind = Literal[
    "kill",  # SIGKILL of a worker, another is started at once or after a while
    "crash",  # a worker that dies at a named place is started in the place of one that is killed
    "stop",  # SIGSTOP, then SIGCONT: an old owner wakes late
    "join",  # one more worker joins; it leaves again, by SIGTERM
    "cut", "cut_in_answer", "delay", "black_hole", "half_close", "throttle",
    "restart_kafka", "restart_postgres", "crash_postgres",
    "deadlock", "lock", "terminate",
    "flush_redis", "crash_redis", "crash_elasticsearch",
    "block_indices",  # writes of a part of the indices are refused, and with them a part of each bulk request
]  # fmt: skip

ON_LINKS: Final = ("cut", "cut_in_answer", "delay", "black_hole", "half_close", "throttle")
USUAL: Final[tuple[Kind, ...]] = (
    "kill", "kill", "crash", "crash", "crash", "stop", "stop", "join", *ON_LINKS, *ON_LINKS, "deadlock", "lock",
    "terminate",
)  # fmt: skip
RESTARTS: Final[tuple[Kind, ...]] = ("restart_kafka", "restart_postgres", "crash_postgres")
LOST_CACHES: Final[tuple[tuple[Kind, ...], ...]] = (("flush_redis",), ("crash_redis",), ("flush_redis", "crash_redis"))
OF_FOLLOWER: Final[dict[str, tuple[str, ...]]] = {
    "postgres": (
        "claimed", "drained", "begun", "advanced", "applied", "complete", "committed", "told_kafka", "relayed",
    ),
    "redis": ("cached", "followed", "claimed"),
    "search": ("indexed", "followed", "claimed"),
}  # fmt: skip
ON_WORKERS: Final = ("kill", "crash", "stop", "join")
LASTING: Final[dict[str, tuple[float, float]]] = {
    "kill": (0.0, 4.0), "stop": (1.0, 9.0), "join": (3.0, 6.0), "delay": (1.0, 5.0), "throttle": (1.0, 5.0),
    "black_hole": (1.0, 5.0), "lock": (0.5, 3.0), "block_indices": (1.0, 4.0),
}  # fmt: skip
"""Seconds. A worker is stopped for longer than the broker's session timeout at times: others take over meanwhile."""
FAULTS_MIN: Final = 5
FAULTS_MAX: Final = 9

assert {point for points in OF_FOLLOWER.values() for point in points} == set(POINTS)


@dataclass(frozen=True)
class Fault:
    """One fault: when (seconds since events began to flow), on which projection's workers or which server's links."""

    at_s: float
    kind: Kind
    target: str = ""
    for_s: float = 0.0
    detail: str = ""

    def __str__(self) -> str:
        words = (f"{self.at_s:.1f}s", self.kind, self.target, self.detail, f"{self.for_s:.1f}s" if self.for_s else "")
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Schedule:
    """Everything that a seed decides."""

    seed: int
    events: int
    span_s: float
    followers: tuple[str, ...]
    workers: int
    batch_max_events: int
    faults: tuple[Fault, ...]

    def prefix(self, count: int) -> "Schedule":
        """The same with the first faults only."""
        return Schedule(
            self.seed, self.events, self.span_s, self.followers, self.workers, self.batch_max_events,
            self.faults[:count],
        )  # fmt: skip


def schedule(seed: int, events: int, *, span_s: float, search: bool = True) -> Schedule:
    """The schedule of a seed: five to nine faults, within `span_s` seconds while events flow."""
    rng = random.Random(f"schedule {seed}")
    followers = _followers(seed, search=search)
    count = rng.randint(FAULTS_MIN, FAULTS_MAX)
    kinds: list[Kind] = [rng.choice(RESTARTS)] if seed % 2 else []
    if "redis" in followers:
        kinds += rng.choice(LOST_CACHES)
    if "search" in followers:
        kinds += ["block_indices", "crash_elasticsearch"]
    kinds += rng.choices(USUAL, k=max(0, count - len(kinds)))
    rng.shuffle(kinds)
    moments = sorted(rng.uniform(0.5, span_s) for _ in kinds)
    faults = tuple(_fault(rng, at_s, kind, followers) for at_s, kind in zip(moments, kinds, strict=True))
    return Schedule(seed, events, span_s, followers, rng.choice([2, 2, 3]), rng.choice([200, 500, 2_000]), faults)


def _followers(seed: int, *, search: bool) -> tuple[str, ...]:
    if search and seed % 8 == 5:
        return ("search",)
    return ("redis",) if seed % 4 == 2 else ()


def _fault(rng: random.Random, at_s: float, kind: Kind, followers: tuple[str, ...]) -> Fault:
    worker = rng.choice(["postgres", "postgres", *followers])
    target = _links(rng, followers) if kind in ON_LINKS else worker if kind in ON_WORKERS else ""
    detail, for_s = "", 0.0
    match kind:
        case "crash":
            detail = f"{rng.choice(OF_FOLLOWER[worker])}:{rng.randint(1, 4)}"
        case "cut_in_answer":
            detail = str(int(10 ** rng.uniform(0, 5)))
        case "delay":
            detail = rng.choice(["0.05", "0.3", "1.0"])
        case "throttle":
            detail = rng.choice(["20000", "200000"])
        case "black_hole":
            detail = rng.choice(["both", "to server", "to client"])
        case "cut" | "half_close":
            detail = rng.choice(["one", "all"])
    if kind in LASTING:
        for_s = rng.uniform(*LASTING[kind])
    return Fault(at_s, kind, target, for_s, detail)


def _links(rng: random.Random, followers: tuple[str, ...]) -> str:
    own = {"redis": "redis", "search": "elasticsearch"}
    return rng.choice(["kafka", "kafka", "postgres", "postgres", *(own[name] for name in followers)])
