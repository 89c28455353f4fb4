"""Another Elasticsearch answers at the address for a while: what it took is found again, where everything else is."""

from collections.abc import Sequence

import pytest
from contract_events import CloudEvent, Given, id_of
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import AuthorizationException
from elasticsearch._async.client.cluster import ClusterClient
from following import Story
from read_models import Reader, partition_of
from searched import Searched

from tailrace.consumers.search.bulk import Rejection
from tailrace.consumers.search.indices import Indices
from tailrace.consumers.search.layout import Write
from tailrace.consumers.search.sink import SearchSink
from tailrace.projections.documents import ALIASES

NODE = NodeConfig("http", "localhost", 9200)


@pytest.fixture
async def story(searched: Searched, given: Given) -> Story:
    searched.begin()
    story = Story(searched)
    await story.tell(
        given.workspace(), given.user(), given.hired(), given.channel(), given.joined(), given.posted("m1")
    )
    return story


class Elsewhere:
    """An address behind which another cluster may be: what is sent there is not here."""

    def __init__(self, story: Story, sink: SearchSink, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_on = False
        self._story = story
        self._sink = sink
        self._reader = Reader(story.searched.models, sink)
        send, cluster = sink.writer.send, Indices.cluster

        async def sent(writes: Sequence[Write]) -> list[Rejection]:
            return [] if self.is_on else await send(writes)

        async def asked(indices: Indices) -> str | None:
            return "another" if self.is_on else await cluster(indices)

        monkeypatch.setattr(sink.writer, "send", sent)
        monkeypatch.setattr(Indices, "cluster", asked)

    async def apply(self, *events: CloudEvent) -> None:
        new = self._story.more(*events)
        await self._story.searched.models.apply([new])
        await self._reader.claim({partition_of(record) for record in new} - set(self._reader.positions))
        await self._sink.apply(self._reader.batch(new))


async def test_what_another_cluster_took_is_filled_in_when_the_first_one_is_back(
    story: Story, given: Given, monkeypatch: pytest.MonkeyPatch
):
    sink = story.searched.sink()
    elsewhere = Elsewhere(story, sink, monkeypatch)
    try:
        await elsewhere.apply(given.posted("m2"))
        assert _jobs(story) == set()

        elsewhere.is_on = True
        await elsewhere.apply(given.posted("m3"))
        assert _jobs(story) == {("refill", alias) for alias in ALIASES}  # for the other one, if it is to stay
        story.searched.models.execute("DELETE FROM runtime.search_jobs")

        elsewhere.is_on = False
        await elsewhere.apply(given.posted("m4"))
        assert (await story.searched.sources()).keys() == {id_of(name) for name in ("m1", "m2", "m4")}
        await story.searched.jobs()
    finally:
        await sink.close()
    assert story.differences() == {}


async def test_a_worker_that_begins_with_another_cluster_fills_it(story: Story, given: Given):
    story.searched.models.execute("UPDATE runtime.search_state SET cluster = 'another'")
    assert _jobs(story) == set()
    await story.tell(given.posted("m2"))
    rows = story.searched.models.execute("SELECT kind, subject, state FROM runtime.search_jobs ORDER BY subject")
    assert [tuple(row.values()) for row in rows] == [("refill", alias, "done") for alias in sorted(ALIASES)]


async def test_what_another_worker_noticed_counts_as_well(story: Story, given: Given, monkeypatch: pytest.MonkeyPatch):
    sink = story.searched.sink()
    here = Elsewhere(story, sink, monkeypatch)
    try:
        await here.apply(given.posted("m2"))
        story.searched.models.execute("UPDATE runtime.search_state SET cluster = 'another'")
        await here.apply(given.posted("m3"))
    finally:
        await sink.close()
    assert _jobs(story) == {("refill", alias) for alias in ALIASES}


async def test_a_job_notices_it_too(story: Story):
    story.searched.models.execute("UPDATE runtime.search_state SET cluster = 'another'")
    story.searched.models.execute("INSERT INTO runtime.search_jobs (kind, subject) VALUES ('refill', 'users')")
    await story.searched.jobs()
    assert _jobs(story) == {("refill", alias) for alias in ALIASES}


async def test_an_account_that_may_not_ask_goes_on_without(story: Story, given: Given, monkeypatch: pytest.MonkeyPatch):
    async def refused(client: ClusterClient, **_: object) -> None:
        raise AuthorizationException("403", ApiResponseMeta(403, "1.1", HttpHeaders(), 0.0, NODE), {})

    monkeypatch.setattr(ClusterClient, "state", refused)
    await story.tell(given.posted("m2"))
    assert story.differences() == {}


def _jobs(story: Story) -> set[tuple[str, str]]:
    found = story.searched.models.execute("SELECT kind, subject FROM runtime.search_jobs")
    return {(row["kind"], row["subject"]) for row in found}
