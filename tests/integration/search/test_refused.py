"""A document that Elasticsearch refuses: one dead letter of the search projection, settled by a redriven record."""

from collections.abc import Sequence

from contract_events import Given, id_of, in_world
from read_models import Reader, log_of, partition_of
from searched import Searched

from tailrace.consumers.redriven import redrive_headers
from tailrace.consumers.search.bulk import Rejection
from tailrace.consumers.search.layout import Write


async def test_a_refused_document_is_a_letter_until_its_record_comes_again(searched: Searched, given: Given):
    searched.begin()
    log = log_of(
        [in_world(given.channel()), in_world(given.posted("m1")), in_world(given.posted("m2"))], searched.settings
    )
    place = (log[1].topic, log[1].partition, log[1].offset)
    again = log[1]._replace(offset=3, headers=tuple(redrive_headers((("a", b"b"),), place, 2)))
    await searched.models.apply([[*log, again]])
    sink = searched.sink()
    send = sink.writer.send

    async def refuse(writes: Sequence[Write]) -> list[Rejection]:
        bad = [write for write in writes if write.id == id_of("m1")]
        return [
            *await send([w for w in writes if w not in bad]),
            *(Rejection(w, "mapper_parsing_exception") for w in bad),
        ]

    sink.writer.send = refuse
    reader = Reader(searched.models, sink)
    await reader.claim({partition_of(record) for record in log})
    await sink.apply(reader.batch(log))
    (letter,) = searched.models.execute(
        "SELECT projection, code, reason, event_type, resolved_at FROM runtime.dead_letters"
    )
    assert letter == {
        "projection": "search", "code": "E_STORE", "resolved_at": None, "event_type": "collab.message.posted",
        "reason": "Elasticsearch refused the document: mapper_parsing_exception",
    }  # fmt: skip
    assert (await searched.sources()).keys() == {id_of("m2")}

    sink.writer.send = send
    await sink.apply(reader.batch([again]))
    await sink.close()
    assert (await searched.sources()).keys() == {id_of("m1"), id_of("m2")}
    (letter,) = searched.models.execute("SELECT resolved_at, resolution FROM runtime.dead_letters")
    assert letter["resolved_at"] is not None
