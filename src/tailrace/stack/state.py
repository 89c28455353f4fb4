"""What runs in one data folder: `stack.json`, and the lock that keeps two commands from changing it at once."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailrace.errors import PreconditionError
from tailrace.stack.process import ProcessId

STATE_NAME = "stack.json"
LOCK_NAME = "stack.lock"
LOCK_POLL_S = 0.1


def _new_stack_id() -> str:
    # Kafka's form of a UUID; one that begins with a hyphen would be taken for an option by its tools.
    while (fresh := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return fresh


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ServerRecord(_Record):
    """One server of the stack; `wanted` is false once it was stopped on purpose."""

    address: str
    ports: tuple[int, ...]
    process: ProcessId
    version: str | None = None
    wanted: bool = True
    restarts: int = 0
    gave_up: bool = False


class StackState(_Record):
    """Content of `stack.json`. It holds the database password, so it is readable by its owner only."""

    stack_id: str = Field(default_factory=_new_stack_id)
    """Kafka's cluster id and part of Elasticsearch's name: tells our server from another on the same port."""
    servers: dict[str, ServerRecord] = {}
    watcher: ProcessId | None = None

    def with_server(self, name: str, record: ServerRecord) -> "StackState":
        """The same state with one server's record replaced."""
        return self.model_copy(update={"servers": {**self.servers, name: record}})


def load_state(data_dir: Path) -> StackState | None:
    """Read `stack.json`; None where no stack was ever started. Raises PreconditionError if it is damaged."""
    try:
        text = (data_dir / STATE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return StackState.model_validate_json(text)
    except ValidationError as error:
        raise PreconditionError(f"{data_dir / STATE_NAME} cannot be read", fix="tailrace down --purge") from error


def save_state(data_dir: Path, state: StackState) -> None:
    """Replace `stack.json` in one step, so a reader never sees half of it."""
    path = data_dir / STATE_NAME
    fresh = path.with_suffix(".json.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(state.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


@contextmanager
def locked(data_dir: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the folder's lock; a second command waits up to `wait_s` seconds, then raises PreconditionError.

    The kernel drops the lock with the process, so a killed command leaves none behind.
    """
    path = data_dir / LOCK_NAME
    deadline = time.monotonic() + wait_s
    while (handle := _try_lock(path)) is None:
        if time.monotonic() >= deadline:
            raise PreconditionError(
                f"another command is starting or stopping the servers in {data_dir}", fix="wait for it, then try again"
            )
        time.sleep(LOCK_POLL_S)
    try:
        yield
    finally:
        os.close(handle)


def _try_lock(path: Path) -> int | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A purge deletes the file: a lock on a deleted file excludes nobody.
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None
