import json
import unicodedata
from pathlib import Path

import emoji
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailrace.schemas
from tailrace.projections.emoji import CACHED_LENGTH_MAX, canonical_emoji

TABLE = json.loads((Path(tailrace.schemas.__file__).parent / "emoji_aliases.json").read_text())


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("👍", "👍"),
        ("👍🏽", "👍🏽"),
        ("❤", "❤"),
        ("❤\ufe0f", "❤"),
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("ℹ\ufe0f", "ℹ"),  # noqa: RUF001 - the information sign is a letter to Unicode, and an emoji
        ("🏳\ufe0f\u200d🌈", "🏳\u200d🌈"),
        ("👷\ufe0f\u200d♀\ufe0f", "👷\u200d♀"),
        ("+1", "👍"),
        (":+1:", "👍"),
        ("-1", "👎"),
        ("thumbsup", "👍"),
        (":ThumbsUp:", "👍"),
        (":thumbs_up:", "👍"),
        (":heart:", "❤"),
        (":simple_smile:", "🙂"),
        (":slightly_smiling_face:", "🙂"),
        (":flag-es:", "🇪🇸"),
        (":tada:", "🎉"),
        ("100", "💯"),
        (":sunglasses:", "😎"),
        (":Party:", ":party:"),
        ("party", ":party:"),
        ("Party_Parrot-2", ":party_parrot-2:"),
        (":party parrot:", ":party parrot:"),
        (":süße:", ":süße:"),
        ("su\u0308ß", ":süß:"),
        ("", ""),
        (":", ":"),
        ("::", "::"),
        ("two words", "two words"),
        ("a\0b", "a\ufffdb"),
        (":a\0B:", ":a\ufffdb:"),
    ],
)
def test_a_reaction_is_stored_as(given_text: str, stored: str):
    assert canonical_emoji(given_text) == stored


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        (":thumbsup::skin-tone-2:", "👍🏻"),
        (":thumbsup::skin-tone-3:", "👍🏼"),
        ("thumbsup::skin-tone-4", "👍🏽"),
        (":+1::SKIN-TONE-5:", "👍🏾"),
        (":thumbsup_tone5:", "👍🏿"),
        ("thumbsup_tone1", "👍🏻"),
        (":thumbs_up_medium-light_skin_tone:", "👍🏼"),
        (":thumbsup_medium_dark_skin_tone:", "👍🏾"),
        (":woman-surfing::skin-tone-6:", "🏄🏿\u200d♀"),
        (":people_holding_hands::skin-tone-2:", "🧑🏻\u200d🤝\u200d🧑🏻"),
        (":handshake::skin-tone-2:", "🤝🏻"),
        (":kiss_light_skin_tone:", "💏🏻"),
        (":heart::skin-tone-3:", "❤🏼"),
        (":skin-tone-3:", "🏼"),
        (":thumbsup::skin-tone-7:", ":thumbsup::skin-tone-7:"),
        (":Party::skin-tone-3:", ":party::skin-tone-3:"),
        (":thumbsup_tone6:", ":thumbsup_tone6:"),
    ],
)
def test_a_skin_tone_is_kept_however_it_is_spelled(given_text: str, stored: str):
    assert canonical_emoji(given_text) == stored


def test_every_emoji_of_unicode_stays_itself_but_for_its_variation_selectors():
    for symbol in emoji.EMOJI_DATA:
        assert canonical_emoji(symbol) == symbol.replace("\ufe0f", "")


def test_every_name_of_the_table_is_found_with_and_without_colons_in_any_case():
    for symbol, names in TABLE["names"].items():
        for name in names.split(" "):
            shouted = name.upper() if name.isascii() else name
            forms = (name, f":{name}:", shouted, f":{shouted}:")
            assert {canonical_emoji(form) for form in forms} == {symbol}


def test_names_with_one_tone_in_the_emoji_package_give_the_emoji_with_that_tone():
    for symbol, facts in emoji.EMOJI_DATA.items():
        if facts["en"].count("_skin_tone") == 1 and facts["en"].endswith("_skin_tone:"):
            assert canonical_emoji(facts["en"]) == symbol.replace("\ufe0f", "")


@pytest.mark.slow
@settings(derandomize=True, database=None, deadline=None, max_examples=500)
@given(text=st.text() | st.from_regex(r":?[\w+-]+(::skin-tone-[1-7])?:?", fullmatch=True))
def test_the_stored_form_of_a_stored_form_is_itself(text: str):
    stored = canonical_emoji(text)
    assert canonical_emoji(stored) == stored
    assert unicodedata.is_normalized("NFC", stored)
    assert "\ufe0f" not in stored
    assert "\0" not in stored


@pytest.mark.parametrize("length", [CACHED_LENGTH_MAX, CACHED_LENGTH_MAX + 1, 1_000_000])
def test_long_names_are_stored_like_short_ones(length: int):
    assert canonical_emoji("X" * length) == f":{'x' * length}:"


def test_the_table_holds_no_variation_selector_and_no_name_twice():
    names = [name for names in TABLE["names"].values() for name in names.split(" ")]
    assert len(names) == len(set(names))
    assert "\ufe0f" not in json.dumps(TABLE, ensure_ascii=False)
