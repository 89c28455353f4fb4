from typing import Any

import pytest
from elastic_transport import ApiResponseMeta, ConnectionTimeout, HttpHeaders, NodeConfig
from elasticsearch import ApiError

from tailrace.consumers.search import bulk
from tailrace.consumers.search.bulk import BulkWriter, MissingIndexError, OutageError
from tailrace.consumers.search.layout import Write
from tailrace.settings import ElasticsearchSettings

WRITES = [Write("messages_shared_0", f"m{n}", n + 1, b"{}") for n in range(4)]


class Scripted:
    """Stands in for the client: answers each request with the next of the given answers."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.requests: list[list[bytes]] = []

    async def bulk(self, *, operations: bytes, filter_path: str) -> Any:
        assert "items.*.status" in filter_path
        self.requests.append(operations.splitlines()[::2])
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def items(*statuses: int, kind: str = "some_exception") -> dict[str, Any]:
    return {
        "errors": True,
        "items": [{"index": {"status": s} | ({"error": {"type": kind}} if s > 299 else {})} for s in statuses],
    }


def refused(status: int) -> ApiError:
    meta = ApiResponseMeta(status, "1.1", HttpHeaders(), 0.1, NodeConfig("http", "x", 1))
    return ApiError("refused", meta, None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "WAIT_FIRST_S", 0.0)
    monkeypatch.setattr(bulk, "WAIT_MAX_S", 0.0)


async def send(client: Scripted, **settings: int) -> Any:
    return await BulkWriter(client, ElasticsearchSettings(**settings)).send(WRITES)  # type: ignore[arg-type]  # a stand-in


async def test_a_conflict_is_as_good_as_a_write():
    client = Scripted(items(200, 409, 201, 409))

    assert await send(client) == []
    assert len(client.requests) == 1


async def test_only_what_was_refused_for_now_is_sent_again():
    client = Scripted(items(200, 429, 503, 200), items(200, 200))

    assert await send(client) == []
    assert [len(request) for request in client.requests] == [4, 2]


async def test_what_will_never_be_taken_is_given_back_and_its_neighbours_are_written():
    client = Scripted(items(200, 400, 200, 200, kind="document_parsing_exception"))

    (rejection,) = await send(client)

    assert (rejection.write, rejection.reason) == (WRITES[1], "document_parsing_exception")


async def test_a_lost_answer_means_all_of_it_again():
    client = Scripted(ConnectionTimeout("lost"), refused(503), {"errors": False})

    assert await send(client) == []
    assert [len(request) for request in client.requests] == [4, 4, 4]


async def test_a_request_that_is_too_large_is_halved():
    client = Scripted(refused(413), {"errors": False})

    assert await send(client) == []
    assert [len(request) for request in client.requests] == [4, 2, 2]


async def test_a_missing_index_is_told():
    with pytest.raises(MissingIndexError) as error:
        await send(Scripted(items(200, 404, 200, 200, kind="index_not_found_exception")))

    assert error.value.indices == {"messages_shared_0"}


async def test_an_outage_is_told_after_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bulk, "OUTAGE_S", -1.0)

    with pytest.raises(OutageError):
        await send(Scripted(refused(429)))


async def test_requests_are_bounded():
    client = Scripted({"errors": False})

    await send(client, bulk_max_documents=3)

    assert [len(request) for request in client.requests] == [3, 1]
    assert client.requests[0][0] == (
        b'{"index":{"_index":"messages_shared_0","_id":"m0","version":1,"version_type":"external"}}'
    )
