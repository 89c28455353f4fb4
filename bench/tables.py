"""What is printed: medians with their ranges, and ratios within one round."""

import statistics
from collections.abc import Sequence

from measuring import Run

HEAD = ("", "events/s", "range", "client CPU-s/100k", "backend CPU-s/100k", "peak MiB", "others' cores")
_WIDTH = (20, 10, 17, 18, 19, 9, 14)


def show_runs(rounds: Sequence[Sequence[Run]], title: str) -> None:
    """One line a program, and the ratio of the last program to the first, round by round."""
    print(f"\n{title}")
    print(_line(HEAD))
    for runs in zip(*rounds, strict=True):
        rates = sorted(run.rate for run in runs)
        print(
            _line(
                (
                    runs[0].name,
                    f"{statistics.median(rates):,.0f}",
                    f"{rates[0]:,.0f}–{rates[-1]:,.0f}",
                    f"{statistics.median(run.client_per_100k for run in runs):.2f}",
                    f"{statistics.median(run.backend_per_100k for run in runs):.2f}",
                    f"{max(run.peak_mib for run in runs):.0f}",
                    f"{statistics.median(run.others_cores for run in runs):.1f}",
                )
            )
        )
    if len(rounds[0]) > 1:
        ratios = [runs[-1].rate / runs[0].rate for runs in rounds]
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{rounds[0][-1].name} / {rounds[0][0].name}: {statistics.median(ratios):.2f} (rounds: {each})")


def _line(cells: Sequence[str]) -> str:
    first, *rest = (cell.rjust(width) for cell, width in zip(cells, _WIDTH, strict=True))
    return " ".join((cells[0].ljust(len(first)), *rest)).rstrip()


def show_memory(run: Run, limit_mib: int, steps: int = 10) -> None:
    """Resident memory at each tenth of the log, and how it moved between the first half and the second."""
    print("  records applied    resident MiB")
    for step in range(1, steps + 1):
        applied, mib = next(sample for sample in run.memory if sample[0] >= run.records * step // steps)
        print(f"  {applied:15,} {mib:15.0f}")
    halves = [
        statistics.median(mib for applied, mib in run.memory if (applied > run.records // 2) is late)
        for late in (False, True)
    ]
    first, second = halves
    print(f"  median of the first half {first:.0f}, of the second {second:.0f}; peak {run.peak_mib:.0f} of {limit_mib}")
