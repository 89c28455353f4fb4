"""What the command line does around every command."""

import subprocess
import sys

import pytest

NOISE = """
import logging, sys
from tailrace.cli.main import run
sys.argv = ["tailrace", "--help"]
try:
    run()
except SystemExit:
    logging.getLogger("aiokafka.client").warning("noise of the client")
    logging.getLogger("ours").warning("a warning of ours")
"""


@pytest.mark.slow
def test_a_person_sees_no_warnings_of_the_kafka_client():
    done = subprocess.run([sys.executable, "-c", NOISE], capture_output=True, text=True, check=True, timeout=60)

    assert "a warning of ours" in done.stderr
    assert "noise" not in done.stderr
