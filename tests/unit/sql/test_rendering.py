import re
from pathlib import Path

import pytest

from tailrace.errors import InvalidInputError
from tailrace.settings import PostgresSettings
from tailrace.sql.catalog import migrations, queries, render, schema_names
from tailrace.sql.tokens import Kind, tokens

OTHER = {"collab": "t1_collab", "analytics": "t1_analytics", "runtime": "t1_runtime"}


@pytest.mark.parametrize(
    ("written", "rendered"),
    [
        ("SELECT * FROM collab.messages m", 'SELECT * FROM "t1_collab".messages m'),
        ("UPDATE Collab . users SET a = 1", 'UPDATE "t1_collab" . users SET a = 1'),
        ('SELECT FROM "runtime"."progress"', 'SELECT FROM "t1_runtime"."progress"'),
        ("CREATE SCHEMA IF NOT EXISTS collab", 'CREATE SCHEMA IF NOT EXISTS "t1_collab"'),
        (
            "GRANT USAGE ON SCHEMA collab, public, runtime TO tailrace_worker",
            'GRANT USAGE ON SCHEMA "t1_collab", public, "t1_runtime" TO tailrace_worker',
        ),
        ("ALTER TABLES IN SCHEMA analytics GRANT SELECT", 'ALTER TABLES IN SCHEMA "t1_analytics" GRANT SELECT'),
        ("SET search_path = runtime, pg_temp AS", 'SET search_path = "t1_runtime", pg_temp AS'),
        ("SET search_path TO collab", 'SET search_path TO "t1_collab"'),
        ("select 'collab.messages'::regclass", "select '\"t1_collab\".messages'::regclass"),
        ("select to_regclass('runtime.progress')", "select to_regclass('\"t1_runtime\".progress')"),
        ("n.oid = 'collab'::regnamespace", "n.oid = '\"t1_collab\"'::regnamespace"),
        ("AS $$ DELETE FROM runtime.x; $$", 'AS $$ DELETE FROM "t1_runtime".x; $$'),
        ("AS $f$ BEGIN SELECT $$ collab.a $$ $f$", 'AS $f$ BEGIN SELECT $$ "t1_collab".a $$ $f$'),
        (
            "EXECUTE format('CREATE TABLE collab.s_%s' ' PARTITION OF collab.files', n, 'collab.x')",
            "EXECUTE format('CREATE TABLE \"t1_collab\".s_%s' ' PARTITION OF \"t1_collab\".files', n, 'collab.x')",
        ),
        ("EXECUTE 'SELECT ''collab.y'' FROM collab.x'", "EXECUTE 'SELECT ''collab.y'' FROM \"t1_collab\".x'"),
    ],
)
def test_names_of_schemas_are_replaced(written: str, rendered: str):
    assert render(written, OTHER) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "WHERE type = 'collab.message.posted'",
        "WHERE type LIKE 'collab.%' AND a = 'it''s collab.x'",
        r"SELECT E'it\'s collab.x'",
        "-- collab.messages, don't",
        "/* runtime.progress /* collab. */ */",
        'SELECT "collab.messages"',
        "SELECT x.collab.y, collaborators.id, my_collab.id, collab_x.id",
        "SELECT runtime, collab AS analytics FROM t",
        "SELECT schema, collab FROM t",
        "GRANT SELECT ON t TO collab",
        "AS $$ IF kind = 'collab.message.posted' THEN $$",
        "CREATE SCHEMA public",
    ],
)
def test_everything_else_stays(text: str):
    assert render(text, OTHER) == text


def test_names_that_are_the_same_change_nothing():
    text = migrations()[0].up

    assert render(text, schema_names(PostgresSettings())) == text


def test_names_can_be_exchanged():
    assert render("collab.a runtime.b", {"collab": "runtime", "runtime": "collab"}) == '"runtime".a "collab".b'


def test_schemas_that_are_not_mentioned_stay():
    assert render("collab.a runtime.b", {"collab": "x"}) == '"x".a runtime.b'


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "Größe", "x; drop schema collab", "x" * 64])
def test_a_name_that_no_schema_can_have_is_refused(name: str):
    with pytest.raises(InvalidInputError, match="cannot be the name"):
        render("collab.a", {"collab": name})


def test_a_schema_that_nothing_is_written_with_is_refused():
    with pytest.raises(InvalidInputError, match="colab"):
        render("collab.a", {"colab": "x"})


def packaged_texts() -> dict[str, str]:
    texts = {f"{one.label}.{way}": getattr(one, way) for one in migrations() for way in ("up", "down")}
    for file in (Path(__file__).parents[3] / "sql" / "queries").glob("*.sql"):
        texts |= {f"{file.stem}.{name}": text for name, text in queries(file.stem).items()}
    return texts


@pytest.mark.parametrize("name", packaged_texts())
def test_no_packaged_text_keeps_an_old_name(name: str):
    spoken = (token for token in tokens(render(packaged_texts()[name], OTHER)) if token.kind is not Kind.COMMENT)
    text = re.sub(r"--.*", "", "".join(token.text for token in spoken))
    left = re.findall(r"\b(?:collab|analytics|runtime)\.[\w.]+", text)

    assert [old for old in left if not re.fullmatch(r"collab\.\w+\.\w+", old)] == [], "only event types may stay"
