"""How a person follows the demo: one live picture on a terminal, a line at every tenth elsewhere."""

import time
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tailrace.demo.scene import Scene

BAR_WIDTH: Final = 30
TELL_EVERY_S: Final = 5.0
BAR_WIDTH_SHORT: Final = 22
"""Leaves room for the longest name of a table on a line of 80 columns."""
MARKS: Final = {
    "starting": "◌ starting",
    "running": "● running",
    "killed": "✗ killed",
    "restarted": "◌ waits for Kafka",
}
STYLES: Final = {"starting": "yellow", "running": "green", "killed": "bold red", "restarted": "yellow"}


class Display(Protocol):
    """Shows what happens. Nothing of it waits."""

    def done(self, name: str, detail: str, seconds: float) -> None:
        """A step is done; it took so long."""

    def say(self, text: str, *, mark: str = "·") -> None:
        """Something happened."""

    def stream(self, scene: Scene) -> None:
        """How publishing and applying go on."""

    def bar(self, name: str, done: int, total: int, what: str) -> None:
        """How something else goes on; `what` is counted."""

    def close(self) -> None:
        """Take the moving part away."""


def display_for(console: Console) -> Display:
    """The display that suits a console: without cursor movement where nobody watches or it would not work."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console)
    return LineDisplay(console)


class _Printing:
    """What both have in common: steps and events stay on the screen, one line each."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def done(self, name: str, detail: str, seconds: float) -> None:
        self._print(f" ✓ {name:<14} {detail:<46} {seconds:6.1f} s")

    def say(self, text: str, *, mark: str = "·") -> None:
        self._print(f" {mark} {text}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class LiveDisplay(_Printing):
    """One picture that is drawn over; `close` removes it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def stream(self, scene: Scene) -> None:
        total = max(scene.total, scene.published, 1)
        bars = Table.grid(padding=(0, 1))
        bars.add_column(width=10)
        bars.add_column(width=BAR_WIDTH)
        bars.add_column(justify="right", width=17)
        bars.add_column(justify="right", width=9)
        for name, count, rate in (
            ("published", scene.published, scene.published_rate),
            ("applied", scene.applied, scene.applied_rate),
        ):
            bar = ProgressBar(total=total, completed=count, width=BAR_WIDTH)
            bars.add_row(f" {name}", bar, f"{count:,}/{total:,}", f"{rate:,.0f}/s")
        below = Text.assemble(
            " worker    ", (f"{MARKS[scene.worker]:<18}", STYLES[scene.worker]), f" lag {scene.lag:,} records"
        )
        self._draw(Group(bars, below))

    def bar(self, name: str, done: int, total: int, what: str) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=10)
        bar = ProgressBar(total=max(1, total), completed=done, width=BAR_WIDTH_SHORT)
        row.add_row(f" {name}", bar, f"{done:,}/{total:,} {what}")
        self._draw(row)

    def close(self) -> None:
        self._live.stop()

    def _draw(self, picture: Group | Table) -> None:
        if not self._live.is_started:
            self._live.start()
        self._live.update(picture, refresh=True)


class LineDisplay(_Printing):
    """Lines only, so that a log file of the run reads well."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._tenth = 0
        self._told_at = time.monotonic()

    def stream(self, scene: Scene) -> None:
        tenth = int(scene.share * 10)
        if tenth > self._tenth:
            self._tenth = tenth
            self._told_at = time.monotonic()
            self._print(
                f"   {tenth * 10:3}%  published {scene.published:,}  applied {scene.applied:,}  lag {scene.lag:,}"
                f"  {scene.applied_rate:,.0f}/s  worker {scene.worker}"
            )

    def bar(self, name: str, done: int, total: int, what: str) -> None:
        """What is quick is told when it is done; the rest gets a line now and then."""
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            self._print(f"   {name} {done:,}/{total:,} {what}")

    def close(self) -> None:
        """Nothing moves."""
