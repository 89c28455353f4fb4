"""The page for producers: its programs run, its numbers are those of the code, its links lead somewhere."""

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import tailrace.producer
from tailrace.producer import ProducerOptions
from tailrace.schemas.catalogue import TOPICS
from tailrace.testing import RecordingProducer

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/producers.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


async def execute(program: str) -> dict[str, Any]:
    """Run a program that may await at its top level; returns its names."""
    names: dict[str, Any] = {}
    code = compile(program, "docs/producers.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if asyncio.iscoroutine(running := eval(code, names)):  # noqa: S307 - our own page
        await running
    return names


async def test_the_sample_publishes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(tailrace.producer, "Producer", RecordingProducer)

    names = await execute(PROGRAMS[0])

    assert [event["type"] for event in names["producer"].events] == ["collab.reaction.added"]
    assert capsys.readouterr().out.startswith("collab.conversations ")
    assert len([line for line in PROGRAMS[0].splitlines() if line.strip()]) <= 15


async def test_the_test_of_a_program_passes():
    names = await execute(PROGRAMS[1])
    [test] = [value for name, value in names.items() if name.startswith("test_")]
    await test()


def test_every_program_of_the_page_is_run_here():
    assert len(PROGRAMS) == 2


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_bounds_are_those_of_the_code():
    options = ProducerOptions()
    assert f"| `delivery_timeout_s` | {options.delivery_timeout_s:g} |" in PAGE
    assert f"| {options.connect_timeout_s:g}, {options.request_timeout_s:g} |" in PAGE
    assert f"| {options.reconnect_wait_min_s:g}, {options.reconnect_wait_max_s:g} |" in PAGE
    assert f"| {options.in_flight_max_events:,}, {options.in_flight_max_bytes // 2**20} MiB |" in PAGE
    assert f"| `close_timeout_s` | {options.close_timeout_s:g} |" in PAGE


def test_order_and_duplicates_are_told_of_every_topic():
    table = PAGE.partition("## Order and duplicates")[2].partition("\n## ")[0]
    assert [topic.name for topic in TOPICS if f"`{topic.name}`" not in table] == []
