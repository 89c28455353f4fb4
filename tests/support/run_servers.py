"""Where the servers of a test run are, and who stops them.

`TAILRACE_TEST_DATA_DIR` names a data folder whose servers are used (and left running if they ran before);
`TAILRACE_TEST_KEEP=1` leaves the servers running at the end, so that the next run starts at once.

Run in several processes (`pytest -n 3`), the tests share the servers: they mostly wait for them, not for the
processor. The process that hands out the tests then chooses the folder and stops what runs in it at the end.

Where memory is plentiful the folder is in memory (`/dev/shm`) and is removed at the end. Every index and topic that a
test makes is synced to the disk several times otherwise, which takes a third of the whole run; and no test switches the
machine off: what a killed process has written is there in memory as it is on a disk.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from tailrace import stack
from tailrace.settings import Settings

ROOT = Path(__file__).parents[2]
SHARED_FOLDER = "tailrace_data_dir"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory is the point; nobody else's is taken
MEMORY_BYTES_MIN = 10 * 2**30
"""Free there, and available at all: a run writes some GiB, and its servers and tests take as much again."""


def servers_of(config: pytest.Config) -> AbstractContextManager[Settings]:
    """The folder that the process which hands out the tests has chosen, else one of this process."""
    chosen = getattr(config, "workerinput", {}).get(SHARED_FOLDER)
    return nullcontext(Settings(_env_file=None, data_dir=Path(chosen))) if chosen else run_servers()


class Folder(NamedTuple):
    """Where the servers run: `is_ours` alone if nobody else will use it, `is_kept` if its data outlives the run."""

    path: Path
    is_ours: bool = False
    is_kept: bool = True


@contextmanager
def run_servers() -> Iterator[Settings]:
    """Where the run's servers are or will be; at the end those that the run started are stopped."""
    with _data_dir() as folder:
        settings = Settings(_env_file=None, data_dir=folder.path)
        ran_before = any(server.answers for server in stack.status(settings).servers)
        yield settings
        if os.environ.get("TAILRACE_TEST_KEEP") != "1" and (folder.is_ours or not ran_before):
            stack.down(settings, purge=not folder.is_kept)


@contextmanager
def _data_dir() -> Iterator[Folder]:
    """The folder to run the servers in.

    Two runs in one checkout would stop each other's servers, so the second one gets a folder of its own.
    """
    if given := os.environ.get("TAILRACE_TEST_DATA_DIR"):
        yield Folder(Path(given))
        return
    on_disk = ROOT / ".tailrace"
    on_disk.mkdir(exist_ok=True)
    in_memory = _folder_in_memory()
    with (on_disk / "test.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            parent = MEMORY if in_memory else None
            with tempfile.TemporaryDirectory(prefix="tailrace-test-", dir=parent, ignore_cleanup_errors=True) as folder:
                yield Folder(Path(folder) / "stack", is_ours=True, is_kept=False)
        else:
            yield Folder(in_memory / "stack", is_kept=False) if in_memory else Folder(on_disk / "test")
            if in_memory:
                with suppress(OSError):  # the servers were told to stay
                    in_memory.rmdir()


def _folder_in_memory() -> Path | None:
    """This checkout's folder in memory; None where there is too little of it or somebody else has the name."""
    if not MEMORY.is_dir() or min(shutil.disk_usage(MEMORY).free, _available_bytes()) < MEMORY_BYTES_MIN:
        return None
    if os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:  # as in many containers: the servers unpack native libraries there
        return None
    folder = MEMORY / f"tailrace-test-{sha256(str(ROOT).encode()).hexdigest()[:12]}"
    folder.mkdir(mode=0o755, exist_ok=True)
    return folder if folder.stat().st_uid == os.getuid() and not folder.is_symlink() else None


def _available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 2**10 for line in lines if line.startswith("MemAvailable:"))
