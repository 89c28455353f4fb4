"""The worker with its rollups taken out, to see what they cost; production has no such switch."""

import sys
from typing import Any

from tailrace.cli.main import run
from tailrace.consumers.postgres import apply


async def nothing(*_: Any) -> None:
    """Stand in for `write_rollups`."""


if __name__ == "__main__":
    apply.write_rollups = nothing  # type: ignore[attr-defined, assignment]  # reached into on purpose
    sys.argv = ["tailrace", "worker", "run", "postgres"]
    run()
