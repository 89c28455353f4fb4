"""The ordeal finds every deliberate fault, and none in what is there."""

import os

import pytest
from mutants import MUTANTS, Mutant
from ordeal import ordeal
from read_models import ReadModels

SEEDS = int(os.environ.get("TAILRACE_ORDEALS", "8"))
"""Ordeals without a mutant; a mutant gets up to twice as many to be found in."""


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nothing_is_lost_doubled_or_wrong_whatever_happens(models: ReadModels, seed: int):
    assert await ordeal(models, seed) == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
async def test_a_mutant_is_caught(models: ReadModels, mutant: Mutant, monkeypatch: pytest.MonkeyPatch):
    mutant.patch(monkeypatch)
    for seed in range(2 * SEEDS):
        if await ordeal(models, seed):
            return
    pytest.fail(f"no ordeal of {2 * SEEDS} noticed: {mutant}")
