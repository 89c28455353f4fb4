"""Places to die at: they do nothing unless the environment says so, and then they leave no time for anything."""

import signal
import subprocess
import sys

from tailrace.consumers.crash_points import ENVIRONMENT, POINTS

PASSES = """
from tailrace.consumers.crash_points import crash_point
try:
    for number in range(3):
        print(number, flush=True)
        crash_point("committed")
finally:
    print("the end", flush=True)
"""


def passing(armed: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PASSES], env=armed, capture_output=True, text=True, check=False)


def test_without_the_variable_a_place_is_passed():
    assert passing({}).stdout.split("\n") == ["0", "1", "2", "the end", ""]


def test_a_process_dies_at_the_place_at_the_time_it_was_told():
    died = passing({ENVIRONMENT: "committed:2"})

    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "0\n1\n")


def test_a_place_that_is_not_the_one_is_passed():
    assert passing({ENVIRONMENT: f"{POINTS[0]}:1"}).returncode == 0


def test_a_place_that_does_not_exist_is_refused():
    refused = passing({ENVIRONMENT: "nowhere"})

    assert refused.returncode == 1
    assert "no such place; one of claimed, drained" in refused.stderr
