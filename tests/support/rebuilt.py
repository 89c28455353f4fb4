"""Commands and workers of one instance, as processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_process import command, environment

from tailrace.settings import Settings

COMMAND_TIMEOUT_S = 240
STOP_TIMEOUT_S = 40


@dataclass
class Instance:
    """One instance with names of its own on the shared servers."""

    settings: Settings
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are started with."""
        search = self.settings.elasticsearch
        return environment(self.settings) | {
            "TAILRACE_REDIS__KEY_PREFIX": self.settings.redis.key_prefix,
            "TAILRACE_ELASTICSEARCH__INDEX_PREFIX": search.index_prefix,
            "TAILRACE_ELASTICSEARCH__SHARDS": str(search.shards),
            "TAILRACE_ELASTICSEARCH__REFRESH_INTERVAL_S": str(search.refresh_interval_s),
            "TAILRACE_LOG__LEVEL": "info",
        }

    async def run(self, *arguments: str, exit_code: int = 0) -> Any:
        """Run a command with `-o json` to its end; its document."""
        process = await asyncio.create_subprocess_exec(
            *command(*arguments, "-o", "json"),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            printed, said = await process.communicate()
        assert process.returncode == exit_code, said.decode()[-4_000:]
        return json.loads(printed) if printed.strip() else None

    async def killed(self, *arguments: str, after_s: float) -> bool:
        """Run a command and kill it; whether it was still running."""
        silent = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *command(*arguments), env=self.environment, stdout=silent, stderr=silent
        )
        try:
            async with asyncio.timeout(after_s):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            return True
        return False

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[Path]:
        """All projections' workers in one process; where they log."""
        log_file = self.folder / "workers.log"
        with log_file.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command("worker", "run"), env=self.environment, stdout=output, stderr=output
            )
        try:
            yield log_file
            assert process.returncode is None, log_file.read_text()[-4_000:]
            process.terminate()
            async with asyncio.timeout(STOP_TIMEOUT_S):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
