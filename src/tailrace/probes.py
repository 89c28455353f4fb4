"""What a process tells whoever watches it: `/livez`, `/readyz` and `/metrics`, on a port of its own.

Written by hand, since it takes three answers and no web framework: workers are installed without the extra `http`.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal, NamedTuple

import orjson

from tailrace.errors import PreconditionError
from tailrace.settings import HealthSettings

REQUEST_BYTES_MAX: Final = 8 * 2**10
REQUEST_TIMEOUT_S: Final = 5.0
METRICS_TIMEOUT_S: Final = 20.0
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

HistogramName = Literal["tailrace_apply_duration_seconds", "tailrace_batch_size_records"]
MetricName = Literal[
    HistogramName,
    "tailrace_build_info",
    "tailrace_consumer_lag_records",
    "tailrace_consumer_lag_seconds",
    "tailrace_dlq_records",
    "tailrace_events_applied_total",
    "tailrace_events_consumed_total",
    "tailrace_job_progress_ratio",
    "tailrace_partition_ahead_seconds",
    "tailrace_position_unknown",
    "tailrace_store_errors_total",
    "tailrace_stream_lag_records",
    "tailrace_stream_outputs_total",
]
"""Every metric there is; those that end in `_total` are counters, the others gauges, and the two above histograms."""


class Sample(NamedTuple):
    """One value. Labels are never ids of users, channels, workspaces or events, nor texts of errors."""

    name: MetricName
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    """`_bucket`, `_sum` or `_count` of a histogram."""


class Histogram:
    """How often which values were seen, in buckets that end at `bounds` (rising, inclusive)."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def add(self, other: "Histogram") -> None:
        """Count what another one has seen, which has the same bounds."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def samples(self, name: HistogramName, labels: tuple[tuple[str, str], ...]) -> Iterator[Sample]:
        """What Prometheus reads: counts up to each bound, the sum, the count."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self.counts, strict=True):
            total += count
            yield Sample(name, total, (*labels, ("le", "+Inf" if bound == float("inf") else f"{bound:g}")), "_bucket")
        yield Sample(name, self.sum, labels, "_sum")
        yield Sample(name, total, labels, "_count")


@dataclass(frozen=True, slots=True)
class Part:
    """One worker or stream of a process. `trouble` says why it is not ready, None where it is."""

    name: str
    trouble: Callable[[], str | None]
    samples: Callable[[], Iterable[Sample]]


Gather = Callable[[], Awaitable[Iterable[Sample]]]
"""Finds out more samples when it is asked; None of its errors may escape."""

_parts: list[Part] = []


def watch(part: Part) -> None:
    """Let the endpoints of this process tell of this part, until it ends."""
    _parts.append(part)


@asynccontextmanager
async def probes(
    settings: HealthSettings, parts: Sequence[Part] | None = None, gather: Gather | None = None
) -> AsyncIterator[int | None]:
    """Answer meanwhile; gives the port, None where the settings name none (then nothing listens).

    `parts` are those of the process unless given. Raises `PreconditionError` where the port is taken.
    """
    if settings.port is None:
        yield None
        return
    answers = _Answers(_parts if parts is None else parts, gather)
    try:
        server = await asyncio.start_server(answers.serve, settings.host, settings.port, limit=REQUEST_BYTES_MAX)
    except OSError as error:
        raise PreconditionError(
            f"cannot listen at {settings.host}:{settings.port}", fix="TAILRACE_HEALTH__PORT: another port, or none"
        ) from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class _Answers:
    def __init__(self, parts: Sequence[Part], gather: Gather | None) -> None:
        self._parts = parts
        self._gather = gather

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b" ", 2)
            status, kind, body = await self._answer(method, target.partition(b"?")[0].decode("ascii", "replace"))
            length = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{length}".encode() + (b"" if method == b"HEAD" else body))
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await writer.drain()
        writer.close()

    async def _answer(self, method: bytes, path: str) -> tuple[str, str, bytes]:
        if method not in {b"GET", b"HEAD"}:
            return "405 Method Not Allowed", TEXT, b"only GET\n"
        match path:
            case "/livez":
                return "200 OK", TEXT, b"alive\n"
            case "/readyz":
                troubles = {part.name: part.trouble() for part in self._parts}
                ready = bool(troubles) and not any(troubles.values())
                shown = {name: {"status": "failed" if why else "ok", "reason": why} for name, why in troubles.items()}
                return "200 OK" if ready else "503 Service Unavailable", "application/json", orjson.dumps(shown)
            case "/metrics":
                return "200 OK", TEXT, await self._metrics()
        return "404 Not Found", TEXT, b"/livez, /readyz, /metrics\n"

    async def _metrics(self) -> bytes:
        samples = [Sample("tailrace_build_info", 1, (("version", version("tailrace")),))]
        for part in self._parts:
            samples += part.samples()
        if self._gather is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(METRICS_TIMEOUT_S):
                    samples += await self._gather()
        return exposition(samples)


def exposition(samples: Iterable[Sample]) -> bytes:
    """The samples as Prometheus reads them, those of one name together under its type."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines = []
    for name, some in sorted(by_name.items()):
        kind = "histogram" if some[0].suffix else "counter" if name.endswith("_total") else "gauge"
        lines.append(f"# TYPE {name} {kind}")
        lines += [f"{name}{sample.suffix}{_labels(sample)} {sample.value:.17g}" for sample in some]
    return "".join(f"{line}\n" for line in lines).encode()


def _labels(sample: Sample) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return "{" + ",".join(f'{name}="{value.translate(escapes)}"' for name, value in sample.labels) + "}"
