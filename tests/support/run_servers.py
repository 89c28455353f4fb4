"""Where the servers of a test run are, and who stops them.

`TAILRACE_TEST_DATA_DIR` names a data folder whose servers are used (and left running if they ran before);
`TAILRACE_TEST_KEEP=1` leaves the servers running at the end, so that the next run starts at once.

Run in several processes (`pytest -n 3`), the tests share the servers: they mostly wait for them, not for the
processor. The process that hands out the tests then chooses the folder and stops what runs in it at the end.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from tailrace import stack
from tailrace.settings import Settings

ROOT = Path(__file__).parents[2]
SHARED_FOLDER = "tailrace_data_dir"


def servers_of(config: pytest.Config) -> AbstractContextManager[Settings]:
    """The folder that the process which hands out the tests has chosen, else one of this process."""
    chosen = getattr(config, "workerinput", {}).get(SHARED_FOLDER)
    return nullcontext(Settings(_env_file=None, data_dir=Path(chosen))) if chosen else run_servers()


@contextmanager
def run_servers() -> Iterator[Settings]:
    """Where the run's servers are or will be; at the end those that the run started are stopped."""
    with _data_dir() as (data_dir, is_ours):
        settings = Settings(_env_file=None, data_dir=data_dir)
        ran_before = any(server.answers for server in stack.status(settings).servers)
        yield settings
        if os.environ.get("TAILRACE_TEST_KEEP") != "1" and (is_ours or not ran_before):
            stack.down(settings, purge=is_ours)


@contextmanager
def _data_dir() -> Iterator[tuple[Path, bool]]:
    """The folder to run the servers in, and whether it is the test suite's own.

    Two runs in one checkout would stop each other's servers, so the second one gets a folder of its own.
    """
    if given := os.environ.get("TAILRACE_TEST_DATA_DIR"):
        yield Path(given), False
        return
    usual = ROOT / ".tailrace" / "test"
    usual.parent.mkdir(exist_ok=True)
    with (usual.parent / "test.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with tempfile.TemporaryDirectory(prefix="tailrace-test-", ignore_cleanup_errors=True) as folder:
                yield Path(folder) / "stack", True
        else:
            yield usual, True
