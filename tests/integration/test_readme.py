"""Every command of the README, in its order, against servers of this run."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.settings import Settings

ROOT = Path(__file__).parents[2]
COMMAND_TIMEOUT_S = 240
STOP_TIMEOUT_S = 60


def commands() -> list[str]:
    """The lines of all `sh` blocks."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def environment(settings: Settings, full_stack: object) -> dict[str, str]:
    """An environment in which the plain commands meet names of this test's own."""
    dsn = settings.postgres.dsn
    assert dsn is not None
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TAILRACE_DATA_DIR": str(settings.data_dir),
        "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "TAILRACE_KAFKA__GROUP_PREFIX": settings.kafka.group_prefix,
        "TAILRACE_KAFKA__PARTITIONS": "2",
        "TAILRACE_KAFKA__PARTITIONS_SMALL": "1",
        "TAILRACE_POSTGRES__DSN": dsn.get_secret_value(),
        "TAILRACE_REDIS__KEY_PREFIX": settings.redis.key_prefix,
        "TAILRACE_ELASTICSEARCH__INDEX_PREFIX": settings.elasticsearch.index_prefix,
    }


def test_every_command_of_the_readme_works(environment: dict[str, str]):
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands():
            words = shlex.split(command)
            if words[0] == "make":
                # The two commands call this test; what they would do is checked without doing it.
                words = ["make", "-n", *words[1:]]
            if words[:3] == ["tailrace", "worker", "run"]:
                running.append(subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL))
                continue
            done = subprocess.run(
                words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        for process in running:
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_TIMEOUT_S) == 0
    finally:
        for process in running:
            process.kill()
            process.wait()
