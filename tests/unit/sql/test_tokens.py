import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import InvalidInputError
from tailrace.sql.tokens import Kind, statements, tokens

PIECES = [
    "select", "collab.messages", "'it''s'", "E'it\\'s'", "'back\\'", '"a""b"', "-- don't\n", "/* 'a /* b */ ; */", ";",
    "$$ body; 'x' $$", "$f$ $$inner;$$ $f$", "$1", "::", "(", ")", "\n", " ", "1.5", "é", "'👍'", "a$b",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_tokens_joined_together_are_the_text(pieces: list[str]):
    text = " ".join(pieces)

    assert "".join(token.text for token in tokens(text)) == text


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("select 'a;b'", "'a;b'"),
        ("select 'it''s'", "'it''s'"),
        (r"select E'it\'s; fine'", r"E'it\'s; fine'"),
        (r"select 'C:\'; select 1", r"'C:\'"),
    ],
)
def test_a_literal_ends_where_the_server_ends_it(text: str, literal: str):
    assert [token.text for token in tokens(text) if token.kind is Kind.LITERAL] == [literal]


def test_semicolons_cut_only_between_statements():
    text = """
        -- leading; comment
        CREATE TABLE a (x text DEFAULT ';');
        /* one; /* two; */ still; */
        CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN PERFORM $$;$$; RETURN 1; END $f$;
        CREATE RULE r AS ON INSERT TO a DO ALSO (SELECT 1; SELECT 2);
        CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
        ;
        SELECT 1
    """

    assert [statement.text.split("(")[0].strip() for statement in statements(text)] == [
        "CREATE TABLE a",
        "CREATE FUNCTION f",
        "CREATE RULE r AS ON INSERT TO a DO ALSO",
        "CREATE FUNCTION g",
        "SELECT 1",
    ]


def test_a_statement_knows_the_line_of_its_first_word():
    assert [statement.line for statement in statements("\n-- why\nSELECT 1;\n\n\n  SELECT\n2;")] == [3, 6]


def test_comments_alone_are_no_statement():
    assert statements("-- nothing\n/* here */ ; ;") == []


@pytest.mark.parametrize(
    "text", ["select\n'open", 'select\n"open', "select\n$$open", "select\n/* open /* */", "a\n$x$ $$"]
)
def test_text_that_does_not_end_is_refused_with_its_line(text: str):
    with pytest.raises(InvalidInputError, match="line 2 does not end"):
        list(tokens(text))
