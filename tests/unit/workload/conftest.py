from datetime import UTC, datetime

import pytest

from tailrace.workload import Generated, Summary, generate, named_profile

START = datetime(2026, 10, 20, tzinfo=UTC)


@pytest.fixture(scope="session")
def demo() -> list[Generated]:
    return list(generate(named_profile("demo", start=START)))


@pytest.fixture(scope="session")
def calm() -> list[Generated]:
    """A company without faults in which nobody is erased and nothing deleted for good."""
    return list(generate(named_profile("steady", start=START, events=30_000, erasures=0, deletions=0)))


@pytest.fixture(scope="session")
def demo_summary(demo: list[Generated]) -> Summary:
    summary = Summary()
    for record in demo:
        summary.add(record)
    return summary
