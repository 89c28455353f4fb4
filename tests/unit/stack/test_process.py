import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.stack.launch import port_is_free
from tailrace.stack.process import (
    Launch,
    ProcessId,
    end_orphans,
    identify,
    is_alive,
    log_tail,
    process_environment,
    spawn,
    stop,
)


def test_a_process_is_recognised_until_it_ends():
    with subprocess.Popen(["sleep", "60"]) as child:
        process = identify(child.pid)
        assert process is not None
        assert is_alive(process)
        child.kill()
        child.wait()
        assert not is_alive(process)


def test_a_reused_pid_is_another_process():
    with subprocess.Popen(["sleep", "60"]) as child:
        process = identify(child.pid)
        assert process is not None
        assert not is_alive(ProcessId(pid=process.pid, started_ticks=process.started_ticks - 1))
        child.kill()


def test_a_process_that_ended_but_was_not_waited_for_is_not_alive():
    child = subprocess.Popen(["true"])
    while identify(child.pid) is not None:
        pass

    assert Path(f"/proc/{child.pid}").exists()
    child.wait()


def test_a_server_gets_nothing_of_the_callers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGDATA", "/elsewhere")
    log = tmp_path / "env.log"

    process = spawn(Launch(("env",), process_environment({"A": "1"})), log)
    while is_alive(process):
        pass

    names = {line.split("=")[0] for line in log.read_text().splitlines()}
    assert names == {"PATH", "LANG", "A"}


def test_stop_tells_whether_the_process_ended_by_itself(tmp_path: Path):
    willing = spawn(Launch(("sleep", "60"), process_environment()), tmp_path / "a.log")
    stubborn_code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); signal.pause()"
    )
    log = tmp_path / "b.log"
    stubborn = spawn(Launch((sys.executable, "-c", stubborn_code), process_environment()), log)
    while "on" not in log.read_text():
        assert is_alive(stubborn)

    assert stop(willing, signal.SIGTERM, timeout_s=5)
    assert not stop(stubborn, signal.SIGTERM, timeout_s=0.1)
    assert not is_alive(stubborn)


def test_the_tail_of_a_log_is_its_last_lines_without_stack_frames(tmp_path: Path):
    log = tmp_path / "server.log"
    log.write_text("old\nFATAL: no room\n\tat a.b(C.java:1)\n\t... 3 more\n\nlast\n")

    assert log_tail(log) == ["old", "FATAL: no room", "last"]
    assert log_tail(log, since=4) == ["FATAL: no room", "last"]
    assert log_tail(log, lines_max=1) == ["last"]
    assert log_tail(tmp_path / "none.log") == []


def test_a_long_log_is_moved_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tailrace.stack.process.LOG_BYTES_MAX", 3)
    log = tmp_path / "server.log"
    log.write_text("long")

    process = spawn(Launch(("true",), process_environment()), log)
    while is_alive(process):
        pass

    assert log.read_text() == ""
    assert (tmp_path / "server.log.1").read_text() == "long"


def test_what_a_killed_launcher_left_behind_is_ended(tmp_path: Path):
    said = tmp_path / "log"
    shell = "sleep 60 & echo $! ; wait"
    launcher = spawn(Launch(("/bin/sh", "-c", shell), process_environment()), said)
    child = int(wait_for(lambda: said.read_text().strip()))
    os.kill(launcher.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(launcher))
    assert identify(child) is not None

    end_orphans(launcher)

    assert identify(child) is None


FIRST_THREAD_ENDS = """
import ctypes, platform, socket, threading, time
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(server.getsockname()[1], flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""
"""A server between its first thread's end and its last one's: exit(2) ends the thread that calls it only."""


def test_a_dead_server_is_waited_for_until_its_last_thread_has_left_the_port(tmp_path: Path):
    said = tmp_path / "log"
    server = spawn(Launch((sys.executable, "-c", FIRST_THREAD_ENDS), process_environment()), said)
    port = int(wait_for(lambda: said.read_text().strip()))
    wait_for(lambda: identify(server.pid) is None)
    assert not port_is_free(port)

    end_orphans(server)

    assert port_is_free(port)
    assert not is_alive(server)


def test_a_process_that_lives_has_no_orphans(tmp_path: Path):
    launcher = spawn(Launch(("/bin/sleep", "60"), process_environment()), tmp_path / "log")

    end_orphans(launcher)

    assert is_alive(launcher)
    stop(launcher, signal.SIGKILL, timeout_s=5)


def wait_for(holds: Callable[[], object]) -> str:
    deadline = time.monotonic() + 10
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return str(found)
