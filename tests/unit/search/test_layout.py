from datetime import UTC, datetime

import pytest

from tailrace.consumers.search.layout import Document, Layout, Route
from tailrace.consumers.search.routing import wanted_route
from tailrace.projections.documents import document_version, shared_number, tombstone
from tailrace.settings import ElasticsearchSettings

W = "01a18fd1-48e0-7e0b-8ed8-96e6dfc4eac6"
LIVE = {"messages": ((1, "live"),), "files": ((1, "live"),), "users": ((1, "live"),)}
MESSAGE = Document("messages", "m", W, datetime(2026, 11, 30, 23, tzinfo=UTC), 7, '{"message_id":"m"}')


def layout(routes=None, messages=((1, "live"),), prefix=""):
    return Layout(prefix, 1, 0, {**LIVE, "messages": messages}, routes or {})


@pytest.mark.parametrize(
    ("workspace", "number"),
    [
        ("00000000-0000-0000-0000-000000000000", 5),
        ("123e4567-e89b-12d3-a456-426614174000", 0),
        (W, 0),
    ],
)
def test_the_shared_index_is_the_crc_of_the_text(workspace, number):
    assert shared_number(workspace) == number


def test_each_message_of_a_workspace_is_in_the_index_of_its_own_month():
    october = MESSAGE._replace(id="o", created_at=datetime(2026, 10, 1, tzinfo=UTC))
    other = MESSAGE._replace(id="x", workspace_id="123e4567-e89b-12d3-a456-426614174000")

    monthly = layout({W: Route("monthly", None)}).writes([MESSAGE, october, other, MESSAGE])
    moving = layout({W: Route("shared", "monthly")}).writes([MESSAGE, october])

    months = [f"messages_{W}_2026_11", f"messages_{W}_2026_10"]
    assert [write.target for write in monthly] == [*months, "messages_shared_0", months[0]]
    assert [write.target for write in moving] == ["messages_shared_0", months[0], "messages_shared_0", months[1]]


@pytest.mark.parametrize(
    ("route", "names"),
    [
        (None, ["messages_shared_0"]),
        (Route("own", None), [f"messages_workspace_{W}"]),
        (Route("monthly", None), [f"messages_{W}_2026_11"]),
        (Route("shared", "own"), ["messages_shared_0", f"messages_workspace_{W}"]),
    ],
)
def test_a_message_is_where_its_workspace_is_and_where_it_moves_to(route, names):
    assert layout({W: route} if route else {}).indices(MESSAGE) == names


def test_every_generation_is_written():
    built = layout(messages=((1, "live"), (2, "building")), prefix="x-")

    assert built.indices(MESSAGE) == ["x-messages_shared_0", "x-messages_shared_0_v2"]
    assert built.indices(MESSAGE, only=2) == ["x-messages_shared_0_v2"]
    assert built.shown("x-messages_shared_0_v2", "messages") is None


def test_the_alias_shows_a_workspace_from_one_place_at_any_moment():
    for routes in ({W: Route("shared", "own")}, {W: Route("own", "shared")}, {W: Route("own", None)}):
        at = layout(routes)
        shown_in_shared = "must_not" not in str(at.shown("messages_shared_0", "messages"))
        shown_alone = at.shown(f"messages_workspace_{W}", "messages") is not None

        assert shown_in_shared != shown_alone


def test_a_tombstone_has_its_id_and_no_text():
    (write,) = layout().writes([MESSAGE._replace(body=None)])

    assert write.body == b'{"message_id":"m"}'
    assert tombstone("users", f"{W}:u") == b'{"user_id":"u"}'


def test_the_history_epoch_outweighs_every_version():
    assert document_version(1, 0) > document_version(0, 2**39)
    assert document_version(8191, 2**40 - 1) < 2**53


@pytest.mark.parametrize(
    ("route", "members", "wanted"),
    [("shared", 10_000, "shared"), ("shared", 10_001, "own"), ("own", 9_000, "own"), ("own", 8_999, "shared")],
)
def test_a_workspace_moves_only_past_the_limits(route, members, wanted):
    settings = ElasticsearchSettings()

    assert wanted_route(route, members, is_high_volume=False, settings=settings) == wanted
    assert wanted_route(route, members, is_high_volume=True, settings=settings) == "monthly"
