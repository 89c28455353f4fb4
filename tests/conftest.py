"""Runs in several processes share one set of servers."""

import signal
from contextlib import ExitStack
from typing import Any

import pytest
from run_servers import SHARED_FOLDER, run_servers

FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder before the processes start; what they start in it is stopped when they have ended."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Run in the background by a shell without job control, whatever tests start would ignore their Ctrl-C, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hands_out_tests = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if hands_out_tests:
        shared = ExitStack()
        config.stash[FOLDER] = str(shared.enter_context(run_servers()).data_dir)
        config.add_cleanup(shared.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[SHARED_FOLDER] = node.config.stash[FOLDER]
