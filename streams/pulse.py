"""Ends a process whose event loop stands still: what runs in the loop cannot notice that."""

import asyncio
import os
import sys
import threading
import time
from typing import Final

BEAT_S: Final = 0.5
HUNG_EXIT: Final = 71


def watch_the_loop(hang_max_s: float) -> None:
    """End the process with exit code 71 when the running loop has not turned for so long.

    A thread that nothing can hold up: it takes no lock and tells it by a single write. Nothing is lost so, since
    positions are committed only behind what the broker has acknowledged.
    """
    beaten = time.monotonic()

    def beat() -> None:
        nonlocal beaten
        beaten = time.monotonic()
        loop.call_later(BEAT_S, beat)

    def watch() -> None:
        while True:
            time.sleep(BEAT_S)
            if time.monotonic() - beaten > hang_max_s:
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"tailrace: the event loop hangs\n")
                os._exit(HUNG_EXIT)

    loop = asyncio.get_running_loop()
    beat()
    threading.Thread(target=watch, name="tailrace-pulse", daemon=True).start()
