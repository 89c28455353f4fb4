"""The demo as a newcomer runs it: a command in a shell, here on the test run's servers and in a small size."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click
import psycopg
import pytest
import typer
from rich.console import Console

from tailrace.addresses import resolve
from tailrace.cli.main import app
from tailrace.demo import display_for
from tailrace.demo.children import own_command
from tailrace.demo.display import LiveDisplay
from tailrace.demo.report import next_steps
from tailrace.demo.scene import Scene
from tailrace.operations.positions import positions
from tailrace.settings import Settings
from tailrace.stack.process import identify

RUN_TIMEOUT_S = 120
EVENTUALLY_S = 30
SESSION_TIMEOUT_MS = "6000"
"""The shortest the broker allows: how long a killed worker is missed."""


def environment(settings: Settings) -> dict[str, str]:
    """Environment of a command that uses the names of `settings`."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("TAILRACE_", "DATABASE_URL"))},
        "TAILRACE_DATA_DIR": str(settings.data_dir),
        "TAILRACE_CACHE_DIR": str(settings.cache_dir),
        "TAILRACE_POSTGRES__DSN": resolve(settings).postgres,
        "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "TAILRACE_KAFKA__GROUP_PREFIX": settings.kafka.group_prefix,
        "TAILRACE_KAFKA__SESSION_TIMEOUT_MS": SESSION_TIMEOUT_MS,
        "TAILRACE_REDIS__KEY_PREFIX": settings.redis.key_prefix,
        "TAILRACE_ELASTICSEARCH__INDEX_PREFIX": settings.elasticsearch.index_prefix,
    }


def demo(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*own_command(), "demo", "--yes", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


def export(folder: Path) -> Path:
    """A Slack export of two people and ninety messages."""
    users = [{"id": f"U{number}", "team_id": "T1", "name": f"user{number}"} for number in (1, 2)]
    channel = {"id": "C1", "name": "general", "created": 1_600_000_000, "creator": "U1", "members": ["U1", "U2"]}
    messages = [
        {"type": "message", "user": f"U{1 + number % 2}", "text": "hello", "ts": f"{1_600_000_000 + number}.000000"}
        for number in range(90)
    ]
    (folder / "general").mkdir(parents=True)
    (folder / "users.json").write_text(json.dumps(users))
    (folder / "channels.json").write_text(json.dumps([channel]))
    (folder / "general" / "2020-09-13.json").write_text(json.dumps(messages))
    return folder


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + EVENTUALLY_S
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def workers(settings: Settings) -> set[int]:
    """The processes that hold partitions."""
    try:
        with psycopg.connect(resolve(settings).postgres) as connection:
            rows = connection.execute("SELECT DISTINCT owner FROM runtime.progress WHERE owner IS NOT NULL").fetchall()
    except psycopg.errors.UndefinedTable:
        return set()
    return {int(owner.rpartition(":")[2]) for (owner,) in rows}


@pytest.mark.slow
async def test_two_runs_in_a_row_end_without_a_difference_though_each_killed_its_worker(
    settings: Settings, elasticsearch_url: str, tmp_path: Path
):
    generated = demo(settings, "--events", "1000", "--seed", "7", "-o", "json")
    imported = demo(settings, "--export", str(export(tmp_path / "acme")))

    assert generated.returncode == 0, generated.stderr
    found = json.loads(generated.stdout)
    assert found["differences"] == 0
    assert found["records_before"] == 0
    assert found["traffic"]["seed"] == 7
    assert found["traffic"]["duplicates"] > 0
    assert found["traffic"]["late"] > 0
    assert found["published"]["records"] == found["applied"]["records"] == found["traffic"]["records"]
    assert {code: counts["new"] for code, counts in found["dead_letters"].items()} == found["dead_letters_expected"]
    assert 400 <= found["worker"]["killed_at_published"] < found["published"]["records"]
    assert found["worker"]["back_after_s"] > 1
    assert found["tables"]["messages"]["checked"] > 100
    assert found["traffic"]["inbound"] > 0
    assert sum(one["raised"] for one in found["notifications"].values()) == found["tables"]["notifications"]["checked"]
    assert found["tables"]["trends"]["checked"] > 1_000
    assert found["hottest"][0]["channel"]
    assert found["hottest"][0]["hot_score"] >= found["hottest"][-1]["hot_score"] > 0

    assert imported.returncode == 0, imported.stderr
    assert f"the log holds {found['published']['records']:,} records already" in imported.stderr
    assert re.findall(r"^ +(\d+)%", imported.stderr, re.MULTILINE)[-1] == "100"
    assert "killed with SIGKILL" in imported.stderr
    assert "differences: 0" in imported.stdout
    assert "2 people and bots, 1 conversations, 90 messages" in imported.stdout
    assert "The hottest five minutes" in imported.stdout
    assert re.search(r"^thread_reply +\d", imported.stdout, re.MULTILINE)
    assert not {"\r", "\x1b"} & set(imported.stdout + imported.stderr)
    told, _, to_type = imported.stdout.partition("What to type next")
    assert max(map(len, told.splitlines())) <= 80
    assert " status\n" in to_type
    assert (await positions(settings))[0].lag == 0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_whatever_ends_the_demo_ends_its_workers_and_leaves_servers_that_ran_before(
    settings: Settings, elasticsearch_url: str, number: signal.Signals, exit_code: int
):
    with subprocess.Popen(
        [*own_command(), "demo", "--yes", "--events", "2000"],
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        came = eventually(lambda: bool(workers(settings)))
        holding = workers(settings)
        running.send_signal(number)
        _, told = running.communicate(timeout=RUN_TIMEOUT_S)

    assert came, told
    assert running.returncode == exit_code
    assert "down --purge" in told or number is signal.SIGKILL
    assert eventually(lambda: not any(identify(worker) for worker in holding | workers(settings)))


def test_servers_of_the_settings_are_not_published_into_by_mistake(settings: Settings):
    refused = subprocess.run(
        [*own_command(), "demo"], env=environment(settings), capture_output=True, text=True, check=False, timeout=30
    )

    assert refused.returncode == 3
    assert "the settings name a postgres" in refused.stderr
    assert workers(settings) == set()


def test_a_missing_export_is_told_before_anything_is_started(tmp_path: Path):
    refused = subprocess.run(
        [*own_command(), "demo", "--export", str(tmp_path / "nowhere.zip")],
        env={**os.environ, "TAILRACE_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert refused.returncode == 4
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", [command for command, _ in next_steps(Settings(_env_file=None))])
def test_what_is_offered_to_type_next_exists(command: str):
    words = [word for word in shlex.split(command)[1:] if not word.startswith("-")]
    given = typer.main.get_command(app)

    for word in words:
        if not isinstance(given, click.Group):
            break
        assert word in given.commands
        given = given.commands[word]

    assert not isinstance(given, click.Group)


def test_rates_are_those_of_the_last_moments():
    scene = Scene(total=1_000)
    for second in range(10):
        scene.look(float(second), published=100 * second, moved=50 + 10 * second**2, backlog=50)

    assert (scene.published, scene.applied, scene.lag) == (900, 810, 90)
    assert scene.published_rate == pytest.approx(100)
    assert scene.applied_rate == scene.applied_rate_max == pytest.approx(160)
    assert scene.share == pytest.approx((900 + 810) / 2_000)


def test_a_piped_run_has_a_line_for_every_tenth_and_nothing_that_moves():
    written = io.StringIO()
    display = display_for(Console(file=written, force_terminal=False))
    scene = Scene(total=1_000)

    for step in range(101):
        scene.look(float(step), published=step * 10, moved=step * 10, backlog=0)
        display.stream(scene)
        display.bar("verifying", step, 100, "users")
    display.close()

    assert re.findall(r"(\d+)%", written.getvalue()) == [str(percent) for percent in range(10, 101, 10)]
    assert not {"\r", "\x1b"} & set(written.getvalue())


def test_a_terminal_is_drawn_on_and_left_clean():
    written = io.StringIO()
    display = display_for(Console(file=written, force_terminal=True, width=80, height=24, legacy_windows=False))
    scene = Scene(total=1_000)
    scene.look(0.0, published=500, moved=250, backlog=0)

    display.stream(scene)
    display.close()

    assert isinstance(display, LiveDisplay)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())
    assert "500/1,000" in shown
    assert "lag 250 records" in shown
    assert written.getvalue().rstrip("\r\n").endswith("\x1b[2K")
