"""Commands of ours as processes of their own, so that they can die as they would on a machine that fails."""

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, TypeVar

from tailrace.errors import TailraceError
from tailrace.stack.process import log_tail

STOP_TIMEOUT_S: Final = 30.0
"""More than a worker takes to finish its open batch (`worker.drain_timeout_s`)."""
LAST_LINES_MAX: Final = 6

T = TypeVar("T")


def own_command() -> tuple[str, ...]:
    """Command line that starts `tailrace` with the interpreter and packages of this process."""
    beside = Path(sys.executable).with_name("tailrace")
    return (str(beside),) if beside.exists() else (sys.executable, "-c", "from tailrace.cli.main import run; run()")


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread that the end of the program does not wait for, unlike `asyncio.to_thread`."""
    outcome: Future[T] = Future()

    def work() -> None:
        outcome.set_running_or_notify_cancel()
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - goes on in the task that waits
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(outcome)


class Child:
    """One `tailrace` command as a process. `name` says what it does, its output goes to `log`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, log_from: int) -> None:
        self.name = name
        self._process = process
        self.log = log
        self._log_from = log_from

    @classmethod
    async def start(cls, log: Path, *arguments: str, ends_with_us: bool) -> Self:
        """Start `tailrace ARGUMENTS`, with the environment and folder of this process.

        In a session of its own, or Ctrl-C would reach it beside us. With `ends_with_us` the kernel ends it even where
        we are killed; call that from the main thread, whose end stands for ours (prctl(2), PR_SET_PDEATHSIG).
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(_ending_with_us() if ends_with_us else ()),
                *own_command(),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            return cls(" ".join(arguments), process, log, output.tell())

    @property
    def pid(self) -> int:
        """Of the command itself: what stands before it replaces itself by it."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, negative for the signal that ended it."""
        return self._process.returncode

    async def kill(self) -> None:
        """SIGKILL: it finishes nothing and tells nobody."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end; kill it and whatever it started after `STOP_TIMEOUT_S`."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            await self._process.wait()

    async def abandon(self) -> None:
        """Kill it and whatever it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()

    async def finished(self) -> int:
        """Wait for its exit code."""
        return await self._process.wait()

    def must_run(self) -> None:
        """Raise `TailraceError`, with the end of what it wrote, if it has ended."""
        code = self.exit_code
        if code is not None:
            written = log_tail(self.log, since=self._log_from, lines_max=LAST_LINES_MAX)
            lines = "".join(f"\n  | {line}" for line in written)
            raise TailraceError(f"{self.name} ended with exit code {code}{lines}", fix=f"read {self.log}")


def _ending_with_us() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()
