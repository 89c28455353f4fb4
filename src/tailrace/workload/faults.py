"""What goes wrong between a producer and the log: records out of order, records twice, records that are none."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from tailrace.workload.dice import Dice
from tailrace.workload.poison import POISON, poison_record
from tailrace.workload.records import Generated

HELD_MAX: Final = 64
"""Records held back at once; the oldest goes out, in no wrong order, when there would be more."""
HELD_FOR_MAX: Final = 1_000
"""Records that may pass a held one at most."""
SOON_MAX: Final = 20
LONG_MAX: Final = 2_048
"""Old records kept to be sent again; one in 16 gets in, so they are some ten thousand records old."""


def swap_neighbours(records: Iterable[Generated], share: float, dice: Dice) -> Iterator[Generated]:
    """Send `share` of the records after the next one of the same topic and key instead of before it.

    Kafka keeps the order inside a key only, so that is where wrong order is to be survived: a reaction before its
    message, an edit before the one it follows. At most `HELD_MAX` records are held, none for long.
    """
    held: dict[tuple[str, bytes | None], tuple[int, Generated]] = {}
    swapped = 0
    for seen, record in enumerate(records, 1):
        place = (record.topic, record.key)
        waiting = held.pop(place, None)
        if waiting is not None:
            swapped += 1
            yield record
            yield waiting[1]._replace(fault="swapped")
        elif record.fault is None and swapped + len(held) < share * seen and dice.chance(0.3):
            held[place] = (seen, record)
        else:
            yield record
        if held:
            oldest = next(iter(held))
            if len(held) > HELD_MAX or seen - held[oldest][0] > HELD_FOR_MAX:
                yield held.pop(oldest)[1]
    for _, record in held.values():
        yield record


def send_twice(records: Iterable[Generated], share: float, dice: Dice) -> Iterator[Generated]:
    """Send `share` of the records a second time: most within the next few records, some much later."""
    soon: deque[Generated] = deque(maxlen=SOON_MAX)
    long_ago: list[Generated] = []
    for record in records:
        yield record
        soon.append(record)
        if not dice.bits(4):
            if len(long_ago) < LONG_MAX:
                long_ago.append(record)
            else:
                long_ago[dice.below(LONG_MAX)] = record
        if dice.random() < share:
            again = dice.pick(long_ago) if long_ago and dice.chance(0.3) else dice.pick(soon)
            yield again._replace(fault="duplicate")


def add_poison(records: Iterable[Generated], expected: int, count: int, dice: Dice) -> Iterator[Generated]:
    """Spread `count` poison records over a stream of about `expected`, each in the middle of a channel's traffic.

    The classes take turns, so that `len(POISON)` records are one of each.
    """
    sent = 0
    donor: Generated | None = None
    due = expected * (dice.random() + 0.5) / (count + 1)
    for seen, record in enumerate(records):
        yield record
        if record.type == "collab.message.posted" and record.fault is None:
            donor = record
        if donor is not None and sent < count and seen >= due:
            yield poison_record(POISON[sent % len(POISON)], donor, dice)
            sent += 1
            due = expected * (sent + 0.5 + dice.random()) / (count + 1)
    for index in range(sent, count if donor else 0):
        yield poison_record(POISON[index % len(POISON)], donor or record, dice)
