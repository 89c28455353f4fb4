"""The runs with a name are what their names say, in the asked size."""

import gc
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tailrace.errors import UsageError
from tailrace.workload import PROFILES, Profile, Summary, generate, named_profile
from tailrace.workload.company import OLDER_MAX, RECENT_MAX, THREADS_MAX, TRASH_MAX, Message
from tailrace.workload.founding import workspace_sizes

pytestmark = pytest.mark.slow

START = datetime(2026, 10, 20, tzinfo=UTC)
FOUNDING = {
    "collab.user.registered", "collab.user.updated", "collab.workspace.created", "collab.workspace_member.joined",
    "collab.channel.created", "collab.channel_member.joined", "collab.integration.installed",
}  # fmt: skip


def traffic(name: str, events: int) -> tuple[list[dict], Counter[str]]:
    made = [json.loads(r.value) for r in generate(named_profile(name, start=START, events=events))]
    begun = [event for event in made if event["time"] >= START.isoformat().replace("+00:00", "Z")]
    return begun, Counter(event["type"] for event in begun)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("events", [1, 2_000, 7_777])
def test_a_run_has_exactly_as_many_events_as_asked(name: str, events: int):
    summary = Summary()
    for _ in generate(named_profile(name, start=START, events=events), summary):
        pass

    assert summary.events == events


def test_messages_are_posts_only_and_a_fifth_of_them_are_replies():
    events, types = traffic("messages", 20_000)
    replies = sum("thread_id" in event["data"] for event in events)

    assert set(types) == {"collab.message.posted"}
    assert replies / len(events) == pytest.approx(0.2, abs=0.02)


def test_mixed_has_its_shares():
    events, types = traffic("mixed", 30_000)

    def share(*names: str) -> float:
        return sum(types[f"collab.{name}"] for name in names) / len(events)

    assert share("message.posted") == pytest.approx(0.8, abs=0.02)
    assert share("reaction.added", "reaction.removed") == pytest.approx(0.12, abs=0.015)
    assert share("message.edited") == pytest.approx(0.05, abs=0.01)
    assert share("message.deleted") == pytest.approx(0.02, abs=0.007)


@pytest.mark.parametrize("name", ["messages", "mixed"])
def test_the_founding_of_a_benchmark_is_small(name: str):
    made = [r.type for r in generate(named_profile(name, start=START, events=20_000))]
    founded = sum(kind in FOUNDING for kind in made)

    assert founded < 4_000


def test_posts_are_as_large_as_in_life():
    made = [r for r in generate(named_profile("messages", start=START, events=20_000)) if r.topic == "conversations"]
    posts = sorted(len(r.value) for r in made if r.type == "collab.message.posted")
    lengths = sorted(len(json.loads(r.value)["data"]["content"]) for r in made if r.type == "collab.message.posted")

    assert 650 < posts[len(posts) // 2] < 850
    assert 40 < lengths[len(lengths) // 2] < 80
    assert lengths[-1] > 2_000


def test_what_is_remembered_does_not_grow_with_the_run():
    def remembered(events: int) -> int:
        records = generate(named_profile("messages", start=START, events=events))
        for _ in range(events - 1):
            next(records)
        gc.collect()
        return sum(isinstance(thing, Message) for thing in gc.get_objects())

    channels = 140
    assert remembered(60_000) < channels * (RECENT_MAX + OLDER_MAX + THREADS_MAX + 2 * TRASH_MAX)


def test_workspaces_differ_in_size_and_hold_all_users():
    sizes = workspace_sizes(120, 4)

    assert sum(sizes) == 120
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1] >= 6


def test_a_short_run_gets_a_small_company():
    profile = named_profile("demo", start=START, events=1_000)

    assert (profile.workspaces, profile.users) == (2, 25)
    assert named_profile("demo", start=START, events=1_000, users=50, workspaces=5).users == 50


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"events": 0}, "events"),
        ({"days": 0}, "days"),
        ({"users": 5, "workspaces": 2}, "workspaces take 6 users"),
        ({"duplicates": 0.6}, "duplicates"),
        ({"late": -0.1}, "late"),
        ({"poison": -1}, "poison"),
    ],
)
def test_what_cannot_be_made_is_refused(changes: dict[str, Any], said: str):
    with pytest.raises(UsageError, match=said):
        named_profile("demo", start=START, **changes)


def test_a_start_needs_a_zone_and_must_not_lie_before_2000():
    with pytest.raises(UsageError, match="time zone"):
        Profile(name="x", start=START.replace(tzinfo=None))
    with pytest.raises(UsageError, match="2000"):
        Profile(name="x", start=START - timedelta(days=20_000))


def test_a_run_can_be_given_its_end():
    assert named_profile("demo", end=START).start == START - timedelta(days=21)
    assert named_profile("demo", end=START, days=3).start == START - timedelta(days=3)
    with pytest.raises(UsageError, match="start or its end"):
        named_profile("demo")


def test_names_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match="no profile nightly"):
        named_profile("nightly", start=START)
    with pytest.raises(UsageError, match="no action dance"):
        generate(Profile(name="x", start=START, mix=(("dance", 1.0),)))
