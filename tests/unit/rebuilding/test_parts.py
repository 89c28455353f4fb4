"""What a rebuild is cut into, and how names change in text."""

from collections import Counter

import pytest

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.errors import UsageError
from tailrace.projections.registry import POSTGRES
from tailrace.rebuilding.bounded_log import Window
from tailrace.rebuilding.filling import PHASES, shares
from tailrace.rebuilding.renaming import renamed
from tailrace.rebuilding.shadow import shadow_settings
from tailrace.settings import PostgresSettings, Settings
from tailrace.sql.catalog import migrations, render

PARTITION = TopicPartition("collab.conversations", 0)


def records(*offsets: int) -> list[Record]:
    return [Record(*PARTITION, offset, 0, b"key", b"{}") for offset in offsets]


def test_every_partition_is_filled_by_one_process_and_each_topic_by_all() -> None:
    topics = ("collab.directory", "collab.conversations")
    until = {TopicPartition(topic, number): 10 for topic in topics for number in range(8)}

    parts = shares(until, {}, 4)

    assert Counter(tp for part in parts for tp in part) == Counter(list(until))
    assert [Counter(tp.topic for tp in part) for part in parts] == [Counter(dict.fromkeys(topics, 2))] * 4


def test_processes_have_as_much_left_to_read_each_however_long_the_partitions_are() -> None:
    until = {TopicPartition("collab.conversations", n): end for n, end in enumerate((34, 19, 21, 12, 42, 29, 27, 15))}
    reached = {TopicPartition("collab.conversations", 0): 30}

    left = [sum(end - reached.get(tp, 0) for tp, end in part.items()) for part in shares(until, reached, 2)]

    assert sorted(left) == [82, 87]


def test_every_topic_of_the_tables_is_filled_in_one_phase() -> None:
    assert sorted(topic for phase in PHASES for topic in phase) == sorted(POSTGRES.topics)


def test_a_version_has_the_live_names_with_its_number() -> None:
    shadow = shadow_settings(Settings(_env_file=None), 7)

    assert shadow.postgres.schema_collab == "collab_v7"
    assert shadow.postgres.schema_runtime == "runtime_v7"


def test_a_name_too_long_for_a_version_is_refused() -> None:
    settings = Settings(_env_file=None, postgres=PostgresSettings(schema_collab="c" * 40))

    with pytest.raises(UsageError, match="too long"):
        shadow_settings(settings, 7)


def test_functions_of_every_migration_come_back_from_another_version_as_they_were() -> None:
    names = {"collab": "collab_v2", "analytics": "analytics_v2", "runtime": "runtime_v2"}
    texts = [migration.up for migration in migrations() if "FUNCTION" in migration.up]

    away = [renamed(text, names) for text in texts]
    back = [renamed(text, {new: old for old, new in names.items()}) for text in away]

    assert texts
    assert away == [render(text, names) for text in texts]
    assert [text.replace('"', "") for text in back] == [text.replace('"', "") for text in texts]


@pytest.mark.parametrize("until", [3, 5])
def test_records_are_handed_out_up_to_the_end(until: int) -> None:
    window = window_of(until)
    window.add({PARTITION: records(0, 1)})
    window.add({PARTITION: records(2, 3, 4, 5)})

    assert offsets(window.take(100)) == list(range(until))
    assert window.is_exhausted


def test_what_was_read_ahead_is_at_hand_when_the_end_moves() -> None:
    window = window_of(1)
    window.add({PARTITION: records(0, 1, 2, 3)})
    first, was_exhausted = window.take(100), window.is_exhausted

    window.extend({PARTITION: 4})

    assert offsets(first) == [0]
    assert was_exhausted
    assert not window.is_exhausted
    assert offsets(window.take(2)) == [1, 2]
    assert offsets(window.take(2)) == [3]


def test_offsets_without_a_record_before_the_end_are_passed() -> None:
    window = window_of(4)
    window.add({PARTITION: records(0, 2)})
    before = offsets(window.take(100)), window.is_exhausted
    window.add({PARTITION: records(6)})

    assert before == ([0, 2], False)
    assert window.take(100) == {}
    assert window.is_exhausted


def test_what_comes_after_a_partition_was_left_is_not_handed_out() -> None:
    window = window_of(4)
    window.leave([PARTITION])
    window.add({PARTITION: records(0)})

    assert window.take(100) == {}


def test_an_end_never_moves_back_and_no_partition_joins() -> None:
    window = window_of(4)

    window.extend({PARTITION: 2, TopicPartition("other", 0): 5})

    assert window.end(PARTITION) == 4
    assert window.partitions == {PARTITION}


def window_of(until: int) -> Window:
    """A window on one partition, read from its beginning."""
    window = Window({PARTITION: until})
    window.begin({PARTITION: 0})
    return window


def offsets(taken: dict[TopicPartition, list[Record]]) -> list[int]:
    return [record.offset for page in taken.values() for record in page]
