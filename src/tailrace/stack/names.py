"""Setting names nobody reads: a typo in `TAILRACE_…` would otherwise be silently ignored."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr

from tailrace.settings import Settings

PREFIX = "TAILRACE_"
TEST_PREFIX = "TAILRACE_TEST_"
"""Read by the test suite, not by the settings."""
BESIDE_SETTINGS = frozenset({"TAILRACE_ACTOR", "TAILRACE_OUTBOX_DSN"})
"""Read by the audit log and by the outbox's commands, not by the settings."""


def known_names() -> set[str]:
    """Every environment variable that is read: the settings', e.g. `TAILRACE_KAFKA__TOPIC_PREFIX`, and others'."""
    return {*_names(Settings, PREFIX)} | BESIDE_SETTINGS


def unknown_names(environment: Mapping[str, str], folder: Path) -> list[tuple[str, str | None]]:
    """Unknown names of the environment, and of `.env` and `tailrace.toml` in `folder`, with the nearest known one."""
    known = known_names()
    given = [
        name.upper() for name in (*environment, *dotenv_values(folder / ".env")) if name.upper().startswith(PREFIX)
    ]
    given += [f"{PREFIX}{key.upper()}" for key in _toml_keys(folder / "tailrace.toml")]
    unknown = sorted({name for name in given if name not in known and not name.startswith(TEST_PREFIX)})
    return [(name, _nearest(name, known)) for name in unknown]


def _nearest(name: str, known: set[str]) -> str | None:
    """The known name most like it; the prefix they all share would make every two look alike."""
    shorter = {other.removeprefix(PREFIX): other for other in known}
    found = difflib.get_close_matches(name.removeprefix(PREFIX), shorter, n=1)
    return shorter[found[0]] if found else None


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        full = f"{prefix}{name.upper()}"
        yield full
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{full}__")
        elif field.annotation == SecretStr | None:
            yield f"{full}_FILE"


def _toml_keys(path: Path) -> Iterator[str]:
    """Names of the first level; those below are refused by the settings themselves."""
    if path.exists():
        yield from tomllib.loads(path.read_text(encoding="utf-8"))
