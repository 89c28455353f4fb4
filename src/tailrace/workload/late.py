"""Late events: what happened days or months ago and arrives now, from an import or a device that was switched off."""

from typing import Final

from tailrace.workload.company import Company, Workspace
from tailrace.workload.dice import Weighted
from tailrace.workload.files import upload
from tailrace.workload.messages import post, react, read_long_ago
from tailrace.workload.profiles import START_MIN
from tailrace.workload.signals import activity, session_long_ago
from tailrace.workload.writer import DAY, SECOND

_AGES: Final = Weighted([((1, 7), 4.0), ((7, 60), 4.0), ((60, 400), 2.0)])
"""Days back (low, high) and how often: the same month, another month, another year."""
_ACTIONS: Final = Weighted([(post, 5.0), (activity, 2.0), (session_long_ago, 1.0), (read_long_ago, 1.5), (upload, 0.5)])
_EARLIEST: Final = int(START_MIN.timestamp()) * SECOND


def happen_late(c: Company, w: Workspace) -> None:
    """Let something have happened long ago; it is written now, with the time it had."""
    dice = c.dice
    low, high = _AGES.draw(dice)
    then = max(_EARLIEST, c.writer.now - dice.between(low * DAY, high * DAY))
    action = _ACTIONS.draw(dice)
    with c.writer.back_at(then):
        action(c, w)
        if action is post and dice.chance(0.3):
            react(c, w)
