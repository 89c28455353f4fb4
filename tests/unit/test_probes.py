"""What a process tells of itself, asked over a real socket."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress

import pytest

from tailrace.errors import PreconditionError
from tailrace.probes import Histogram, Part, Sample, exposition, probes
from tailrace.settings import HealthSettings

ANY = HealthSettings(port=0)


def part(name: str = "one", trouble: str | None = None, samples: Iterable[Sample] = ()) -> Part:
    return Part(name, lambda: trouble, lambda: samples)


async def asked(port: int, request: bytes) -> tuple[int, str]:
    """Status and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body.decode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_a_process_is_ready_when_all_its_parts_are():
    async with probes(ANY, [part("one"), part("two")]) as port:
        status, body = await asked(port, get("/readyz?verbose"))
    assert (status, json.loads(body)["two"]) == (200, {"status": "ok", "reason": None})

    async with probes(ANY, [part("one"), part("two", "no partition is claimed")]) as port:
        status, body = await asked(port, get("/readyz"))
    assert (status, json.loads(body)["two"]) == (503, {"status": "failed", "reason": "no partition is claimed"})


async def test_a_process_without_any_part_is_alive_and_not_ready():
    async with probes(ANY, []) as port:
        assert (await asked(port, get("/livez")))[0] == 200
        assert (await asked(port, get("/readyz")))[0] == 503


async def test_metrics_are_grouped_by_name_and_hold_what_is_gathered():
    async def gather() -> list[Sample]:
        return [Sample("tailrace_dlq_records", 2, (("projection", "postgres"),))]

    applied = [Sample("tailrace_events_applied_total", 7, (("projection", "postgres"), ("outcome", "applied")))]
    async with probes(ANY, [part(samples=applied), part(samples=applied)], gather) as port:
        status, body = await asked(port, get("/metrics"))

    assert status == 200
    assert 'tailrace_dlq_records{projection="postgres"} 2\n' in body
    assert body.count("# TYPE tailrace_events_applied_total counter\n") == 1
    assert body.count('tailrace_events_applied_total{projection="postgres",outcome="applied"} 7\n') == 2
    assert "# TYPE tailrace_build_info gauge\n" in body


@pytest.mark.parametrize(
    ("request_", "status"),
    [(get("/"), 404), (b"POST /livez HTTP/1.1\r\n\r\n", 405), (b"HEAD /livez HTTP/1.1\r\n\r\n", 200)],
)
async def test_other_questions_have_an_answer_too(request_: bytes, status: int):
    async with probes(ANY, [part()]) as port:
        assert (await asked(port, request_))[0] == status


@pytest.mark.parametrize("request_", [b"nonsense\r\n\r\n", b"GET " + b"x" * 100_000])
async def test_nonsense_is_hung_up_on_and_the_next_one_answered(request_: bytes):
    async with probes(ANY, [part()]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        assert (await asked(port, get("/livez")))[0] == 200


async def test_without_a_port_nothing_listens_and_a_taken_one_is_told():
    async with probes(HealthSettings(), [part()]) as port:
        assert port is None

    async with probes(ANY, [part()]) as port:
        with pytest.raises(PreconditionError, match=str(port)):
            async with probes(HealthSettings(port=port), [part()]):
                pass


def test_a_histogram_counts_up_to_each_bound():
    seen, more = Histogram((0.1, 1)), Histogram((0.1, 1))
    for value in (0.05, 0.1, 0.5):
        seen.observe(value)
    more.observe(7)
    seen.add(more)

    shown = exposition(seen.samples("tailrace_apply_duration_seconds", (("projection", "redis"),))).decode()

    assert shown.splitlines() == [
        "# TYPE tailrace_apply_duration_seconds histogram",
        'tailrace_apply_duration_seconds_bucket{projection="redis",le="0.1"} 2',
        'tailrace_apply_duration_seconds_bucket{projection="redis",le="1"} 3',
        'tailrace_apply_duration_seconds_bucket{projection="redis",le="+Inf"} 4',
        'tailrace_apply_duration_seconds_sum{projection="redis"} 7.6500000000000004',
        'tailrace_apply_duration_seconds_count{projection="redis"} 4',
    ]


def test_labels_are_escaped():
    assert exposition([Sample("tailrace_build_info", 1, (("version", 'a"b\\c\n'),))]).endswith(
        b'{version="a\\"b\\\\c\\n"} 1\n'
    )
