"""Secrets as files: of every section, from the environment or a file of settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from tailrace.settings import Settings, load_settings

PLACES = [
    ("DATABASE_URL", ("database_url",)),
    ("DATABASE_URL_RO", ("database_url_ro",)),
    ("TAILRACE_POSTGRES__DSN", ("postgres", "dsn")),
    ("TAILRACE_REDIS__URL", ("redis", "url")),
    ("TAILRACE_ELASTICSEARCH__URL", ("elasticsearch", "url")),
    ("TAILRACE_HTTP__TOKEN", ("http", "token")),
]


def at(settings: object, place: tuple[str, ...]) -> SecretStr:
    for name in place:
        settings = getattr(settings, name)
    assert isinstance(settings, SecretStr)
    return settings


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_a_secret_comes_from_its_file_and_one_that_is_given_counts_more(
    name: str, place: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "secret").write_text("of the file\n")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    assert at(load_settings(), place).get_secret_value() == "of the file"

    monkeypatch.setenv(name, "given")
    assert at(load_settings(), place).get_secret_value() == "given"


def test_a_file_of_settings_may_name_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "secret").write_text("redis://one")
    (tmp_path / "tailrace.toml").write_text(f'[redis]\nurl_file = "{tmp_path / "secret"}"\n')
    monkeypatch.chdir(tmp_path)

    assert at(load_settings(), ("redis", "url")).get_secret_value() == "redis://one"


def test_a_file_that_is_not_there_is_told_by_its_path(tmp_path: Path):
    with pytest.raises(ValidationError, match="nowhere cannot be read"):
        Settings(_env_file=None, redis={"url_file": str(tmp_path / "nowhere")})
