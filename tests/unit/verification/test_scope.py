"""Which rows a scope takes, and which events a difference is explained by."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.errors import UsageError
from tailrace.verification.compare import Difference, TableReport
from tailrace.verification.explaining import explain
from tailrace.verification.fold_caches import Expected
from tailrace.verification.scope import EVERYTHING, Scope, Selection, partition_of, share_of
from tailrace.verification.settling import RedisStore
from tailrace.verification.tables import TABLES

SPECS = {table.name: table for table in TABLES}
Fold = Callable[..., Any]


@pytest.fixture
def log(given: Any) -> list[Any]:
    events = [given.channel(channel_id="c1"), given.posted("m1", channel_id="c1"), given.posted("m2", channel_id="c2")]
    for offset, event in enumerate(events):
        event.topic, event.partition, event.offset = "conversations", offset % 2, offset
    return events


def messages(log: list[Any], folded: Fold, scope: Scope) -> set[str]:
    spec = SPECS["messages"]
    return {key[0] for key in Selection(scope, log).of_table(spec, folded(*log).all["messages"])}


# ── what is in ──
def test_a_channel_a_key_a_partition_and_a_workspace_take_their_own(log: list[Any], folded: Fold):
    assert messages(log, folded, EVERYTHING) == {"m1", "m2"}
    assert messages(log, folded, Scope(channel="c1")) == {"m1"}
    assert messages(log, folded, Scope(key="m2")) == {"m2"}
    assert messages(log, folded, Scope(partition=("conversations", 1))) == {"m1"}
    assert messages(log, folded, Scope(workspace="w1")) == {"m1", "m2"}
    assert messages(log, folded, Scope(workspace="w1", channel="c2")) == {"m2"}
    assert messages(log, folded, Scope(workspace="w2")) == set()


def test_the_key_of_a_message_takes_the_list_it_stands_in_and_not_its_channel(log: list[Any], folded: Fold):
    store, selection = RedisStore(None), Selection(Scope(key="m1"), log)  # type: ignore[arg-type]  # no key is read
    absent = Expected(None)
    assert store.is_in(selection, "redis.recent_messages", (("c1",), absent))
    assert not store.is_in(selection, "redis.recent_messages", (("c2",), absent))
    assert not store.is_in(selection, "redis.channel_members", (("c1",), absent))
    assert messages(log, folded, Scope(key="m1")) == {"m1"}


def test_a_sample_takes_whole_channels_and_always_the_same(log: list[Any], folded: Fold):
    shares = [messages(log, folded, Scope(share=share / 20)) for share in range(1, 21)]
    assert shares[-1] == {"m1", "m2"}
    assert all(less <= more for less, more in itertools.pairwise(shares))
    scope = Scope(share=0.5)
    assert {c for c in ("c1", "c2") if scope.takes("conversations", c.encode())} == {
        "c" + message[1] for message in messages(log, folded, scope)
    }
    assert scope.takes("directory", b"anything")


def test_what_needs_every_channel_is_left_out_of_a_sample():
    assert Scope(share=0.5).skips("analytics.daily_active_users")
    assert not Scope(share=0.5).skips("messages")
    assert not Scope(workspace="w1").skips("analytics.daily_active_users")
    assert Scope(workspace="w1").skips("dead_letters")


def test_a_row_whose_ids_were_damaged_stays_in_the_scope_of_the_one_it_should_be(log: list[Any], folded: Fold):
    spec = SPECS["channels"]
    table = folded(*log).all["channels"]
    selection = Selection(Scope(workspace="w1"), log)
    damaged = ["c1", "w9", *[None] * (len(spec.columns) - 1)]
    stranger = ["c9", "w9", *[None] * (len(spec.columns) - 1)]
    assert list(selection.of_rows(spec, table, [damaged, stranger])) == [damaged]


@pytest.mark.parametrize("text", ["0", "101%", "much"])
def test_a_share_lies_between_nothing_and_everything(text: str):
    with pytest.raises(UsageError):
        share_of(text)
    assert share_of("1%") == share_of("0.01") == 0.01


def test_a_partition_is_named_by_its_topic_without_prefix():
    assert partition_of("files/12") == ("files", 12)
    with pytest.raises(UsageError):
        partition_of("trends/0")


# ── what explains a difference ──
def explained(name: str, key: dict[str, Any], log: list[Any]) -> list[int]:
    report = TableReport(9)
    report.add(Difference(key, None, {}))
    explain({name: report}, log)
    return [event["offset"] for event in report.differences[0].events]


def test_a_difference_names_the_events_its_row_is_made_of(log: list[Any]):
    assert explained("messages", {"message_id": "m1", "created_at": log[1].data["created_at"]}, log) == [1]
    assert explained("channels", {"channel_id": "c1"}, log) == [0, 1]
    hour = log[1].time.replace(minute=0)
    bucket = {"workspace_id": "w1", "channel_id": "c1", "hour": hour}
    assert explained("analytics.message_analytics", bucket, log) == [1]
    assert explained("analytics.message_analytics", bucket | {"hour": hour.replace(year=2020)}, log) == []
