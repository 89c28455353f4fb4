"""The numbered cases that searches show, each in every way of delivering it; and what a late write must not do."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from contract_events import CloudEvent, Given, id_of, in_world
from following import Story
from read_models import log_of
from searched import Searched

from tailrace.consumers.search.bulk import BulkWriter
from tailrace.consumers.search.layout import Write
from tailrace.projections.documents import shared_number

WAYS = ("at once", "one by one", "each twice", "backwards")


def delivered(events: Sequence[CloudEvent], way: str) -> list[list[CloudEvent]]:
    """Batches; "backwards" is an order that only independent keys could give, so registers must sort it out."""
    match way:
        case "at once":
            return [list(events)]
        case "one by one":
            return [[event] for event in events]
        case "each twice":
            return [[event, event] for event in events]
    return [list(reversed(events)), list(events)]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def found(searched: Searched, way: str) -> Any:
    """Tells a story in one of the ways, then replays it, and gives what each alias shows, by name."""

    async def tell(*events: CloudEvent, alias: str = "messages") -> dict[str, Any]:
        searched.begin()
        story = Story(searched)
        for batch in delivered(events, way):
            await story.tell(*batch)
        assert story.differences() == {}
        before = await searched.sources(alias)
        searched.models.rewind()
        await searched.apply(log_of([in_world(e) for b in delivered(events, way) for e in b], searched.settings))
        assert await searched.sources(alias) == before
        return before

    return tell


def world(given: Given) -> list[CloudEvent]:
    return [given.workspace(), given.user(), given.hired(), given.channel(), given.joined()]


async def test_34_a_rename_and_back(found: Any, given: Given):
    sources = await found(
        *world(given), given.posted(), given.user(kind="updated", username="x"), given.user(kind="updated")
    )

    assert sources[id_of("m1")]["username"] == "ana"


async def test_35_two_users_swap_their_names(found: Any, given: Given):
    sources = await found(
        *world(given), given.user("bo"), given.posted("m1"), given.posted("m2", user_id="bo"),
        given.user("ana", kind="updated", username="bo"), given.user("bo", kind="updated", username="ana"),
    )  # fmt: skip

    assert (sources[id_of("m1")]["username"], sources[id_of("m2")]["username"]) == ("bo", "ana")


async def test_11_a_message_before_its_channel_gets_the_name_later(found: Any, given: Given):
    sources = await found(given.posted(), *world(given))

    assert (sources[id_of("m1")]["channel_name"], sources[id_of("m1")]["username"]) == ("c1", "ana")


async def test_9_18_a_deleted_message_is_not_found_and_restored_it_is(found: Any, given: Given):
    sources = await found(
        *world(given), given.posted("m1"), given.posted("m2"), given.about("deleted", "m1"),
        given.about("deleted", "m2"), given.edited("new text", "m2"), given.about("restored", "m2"),
    )  # fmt: skip

    assert {source["content"] for source in sources.values()} == {"new text"}


async def test_41_nothing_of_an_erased_user_is_found(found: Any, given: Given):
    events = [*world(given), given.posted(), given.uploaded(), given.shared(), given.erased(), given.posted("m2")]

    assert await found(*events) == {}


async def test_53_54_channels_of_a_file_and_an_infected_one(found: Any, given: Given):
    files = await found(
        *world(given), given.channel("c2"), given.posted("m1"), given.posted("m2", channel_id="c2"),
        given.uploaded("f1"), given.shared("f1", "m1"), given.shared("f1", "m2", channel_id="c2"),
        given.shared("f1", "m1", kind="unshared"), given.uploaded("f2"),
        given.file("scanned", "f2", virus_scan_status="infected"), alias="files",
    )  # fmt: skip

    assert {key: file["channel_ids"] for key, file in files.items()} == {id_of("f1"): [id_of("c2")]}


async def test_29_ten_thousand_reactions_cost_few_writes(searched: Searched, given: Given):
    searched.begin()
    story = Story(searched)
    await story.tell(*world(given), given.posted())
    one = given.reacted()
    reactions = [
        {**one, "id": f"r{n}", "time": one["time"], "data": {**one["data"], "user_id": f"u{n}"}} for n in range(10_000)
    ]

    for start in range(0, 10_000, 5_000):
        await story.tell(*reactions[start : start + 5_000])

    await searched.sources()
    async with searched.client() as client:
        answer = await client.search(index=f"{searched.prefix}messages", seq_no_primary_term=True)
    (hit,) = answer["hits"]["hits"]
    assert hit["_source"]["reaction_count"] == 10_000
    assert hit["_seq_no"] < 5


async def test_55_an_expired_file_disappears_by_itself(searched: Searched, given: Given):
    searched.begin()
    story = Story(searched)

    await story.tell(*world(given), given.uploaded("f1", expires_at="2020-01-01T00:00:00Z"), given.uploaded("f2"))

    assert set(await searched.sources("files")) == {id_of("f2")}


async def test_69_a_write_that_was_held_up_brings_nothing_back(searched: Searched, given: Given):
    searched.begin()
    story = Story(searched)
    await story.tell(*world(given), given.posted(content="secret"))
    home = f"{searched.prefix}messages_shared_{shared_number(id_of('w1'))}"
    async with searched.client() as client:
        held = await client.get(index=home, id=id_of("m1"))
        late = Write(home, id_of("m1"), held["_version"], orjson.dumps(held["_source"]))
        assert await searched.sources() != {}

        await story.tell(given.about("deleted"))
        # Elasticsearch itself forgets its deletions after this time; a tombstone is none.
        await client.indices.put_settings(index=home, settings={"index.gc_deletes": "1ms"})
        await client.indices.flush(index=home, force=True)
        await BulkWriter(client, searched.settings.elasticsearch).send([late])
        tombstone = await client.get(index=home, id=id_of("m1"))

    assert await searched.sources() == {}
    assert tombstone["_source"] == {"message_id": id_of("m1")}
