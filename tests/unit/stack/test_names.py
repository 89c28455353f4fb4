from pathlib import Path

from tailrace.stack.names import known_names, unknown_names


def test_nested_names_and_files_of_secrets_are_known():
    assert {
        "TAILRACE_ACTOR",
        "TAILRACE_DATA_DIR",
        "TAILRACE_OUTBOX_DSN",
        "TAILRACE_KAFKA__TOPIC_PREFIX",
        "TAILRACE_POSTGRES__DSN",
        "TAILRACE_POSTGRES__DSN_FILE",
        "TAILRACE_LOG__LEVEL",
    } <= known_names()
    assert "TAILRACE_KAFKA__TOPIC_PREFIX_FILE" not in known_names()


def test_a_typo_is_found_with_the_name_that_was_meant(tmp_path: Path):
    environment = {"TAILRACE_KAFKA__TOPIC_PREFX": "x", "TAILRACE_DATA_DIR": "y", "TAILRACE_TEST_KEEP": "1", "HOME": "/"}

    assert unknown_names(environment, tmp_path) == [("TAILRACE_KAFKA__TOPIC_PREFX", "TAILRACE_KAFKA__TOPIC_PREFIX")]


def test_files_are_read_as_the_settings_read_them(tmp_path: Path):
    (tmp_path / ".env").write_text("TAILRACE_DATADIR=x\nOTHER=1\n")
    (tmp_path / "tailrace.toml").write_text("qqqq = 1\n[kafka]\ntopic_prefix = 'x.'\n")

    assert unknown_names({}, tmp_path) == [("TAILRACE_DATADIR", "TAILRACE_DATA_DIR"), ("TAILRACE_QQQQ", None)]
