"""Mend exactly the keys that differ from the log."""

import asyncio
from dataclasses import dataclass
from typing import Final

from tailrace.operations.caches import repair
from tailrace.settings import Settings
from tailrace.verification.compare_redis import IDS, PREFIX
from tailrace.verification.verify import Verification, verify

DIFFERENCES_MAX: Final = 1_000_000
ROUNDS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Repaired:
    """Keys that were written anew, and differences that are left."""

    keys: int
    left: int


def repair_redis(settings: Settings) -> Repaired:
    """Verify the keys, write those anew that differ, and verify again.

    PostgreSQL must be right (and have applied the whole log): keys are written from it, not from the fold.
    """
    keys = 0
    outcome = verify(settings, ["redis"], limit=DIFFERENCES_MAX)
    for _ in range(ROUNDS_MAX):
        if not outcome.differences:
            break
        keys += asyncio.run(repair(settings, _differing(outcome)))
        outcome = verify(settings, ["redis"], limit=DIFFERENCES_MAX)
    return Repaired(keys, outcome.differences)


def _differing(outcome: Verification) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (family, tuple(str(one.key[name]) for name in names))
        for family, names in IDS.items()
        for one in outcome.reports[f"{PREFIX}{family}"].differences
        if one.key.keys() == set(names)
    ]
