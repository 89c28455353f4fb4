from tailrace.streams.watchdog import Watchdog


def test_nothing_to_read_is_no_stall():
    dog = Watchdog(60)

    assert not any(dog.stalled(at, joined=True, positions={0: 5}, ends={0: 5}) for at in range(0, 1_000, 10))


def test_records_before_an_end_that_nobody_passes_are_a_stall():
    dog = Watchdog(60)
    stalled = {at: dog.stalled(at, joined=True, positions={0: 5, 1: 9}, ends={0: 6, 1: 9}) for at in (0, 30, 60, 61)}

    assert stalled == {0: False, 30: False, 60: False, 61: True}
    assert dog.behind == [(0, 5, 6)]


def test_a_partition_that_moves_shows_that_the_stream_is_alive():
    dog = Watchdog(60)

    assert not any(
        dog.stalled(at, joined=True, positions={0: at, 1: 0}, ends={0: 999, 1: 9}) for at in range(0, 900, 50)
    )


def test_a_partition_of_which_nothing_was_read_is_behind():
    dog = Watchdog(60)
    dog.stalled(0, joined=True, positions={0: None}, ends={0: 3})

    assert dog.stalled(61, joined=True, positions={0: None}, ends={0: 3})


def test_waiting_for_the_group_for_too_long_is_a_stall():
    dog = Watchdog(60)
    dog.stalled(0, joined=False, positions={}, ends={})

    assert dog.stalled(61, joined=False, positions={}, ends={})


def test_a_member_without_partitions_is_idle():
    dog = Watchdog(60)

    assert not any(dog.stalled(at, joined=True, positions={}, ends={}) for at in (0, 100, 200))


def test_what_was_forgiven_counts_from_then():
    dog = Watchdog(60)
    dog.stalled(0, joined=True, positions={0: 5}, ends={0: 6})
    dog.forgive(61)

    assert not dog.stalled(100, joined=True, positions={0: 5}, ends={0: 6})
    assert dog.stalled(122, joined=True, positions={0: 5}, ends={0: 6})
