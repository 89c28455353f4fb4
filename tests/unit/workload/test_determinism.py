"""The same profile gives the same bytes: twice in one process, and in another process that hashes text differently."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice

import pytest

from tailrace.workload import generate, named_profile

pytestmark = pytest.mark.slow

START = datetime(2026, 10, 20, tzinfo=UTC)
RECORDS = 20_000
SCRIPT = """
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from tailrace.workload import generate, named_profile
digest = sha256()
for record in islice(generate(named_profile("demo", start=datetime(2026, 10, 20, tzinfo=UTC))), 20_000):
    digest.update(repr((record.topic, record.key, record.value)).encode())
print(digest.hexdigest())
"""


def digest(seed: int | None = None) -> str:
    sha256 = hashlib.sha256()
    for record in islice(generate(named_profile("demo", start=START, seed=seed)), RECORDS):
        sha256.update(repr((record.topic, record.key, record.value)).encode())
    return sha256.hexdigest()


def test_two_runs_of_a_profile_are_equal_to_the_byte():
    assert digest() == digest()


def test_a_process_with_another_hash_seed_makes_the_same_bytes():
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert made.stdout.strip() == digest()


def test_another_seed_makes_another_company():
    assert digest(seed=1) != digest(seed=2)


def test_faults_are_added_to_the_events_and_do_not_change_them():
    plain = named_profile("steady", start=START, events=5_000)
    faulty = named_profile("steady", start=START, events=5_000, duplicates=0.1, swapped=0.1, poison=40)

    good = [r.value for r in generate(faulty) if r.fault not in {"duplicate", "poison"}]

    assert sorted(good) == sorted(r.value for r in generate(plain))
