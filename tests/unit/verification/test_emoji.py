"""The canonical form of reactions (rule E; 41, 42, 44)."""

import pytest

from tailrace.verification.fold_emoji import canonical


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("👍", "👍"),
        ("+1", "👍"),
        (":+1:", "👍"),
        ("thumbsup", "👍"),
        (":ThumbsUp:", "👍"),
        ("thumbs_up", "👍"),
        ("👍🏽", "👍🏽"),
        (":thumbsup::skin-tone-3:", "👍🏼"),
        (":thumbsup::skin-tone-6:", "👍🏿"),
        ("❤", "❤"),
        ("❤\ufe0f", "❤"),
        (":heart:", "❤"),
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("👨\u200d❤\ufe0f\u200d👨", "👨\u200d❤\u200d👨"),
        ("\u2139\ufe0f", "\u2139"),
        (":Party:", ":party:"),
        ("Party", ":party:"),
        (":Größe:", ":größe:"),
        (":party::skin-tone-2:", ":party::skin-tone-2:"),
        ("e\u0301", ":\u00e9:"),
        ("two words", "two words"),
    ],
)
def test_what_was_sent_is_stored_in_its_canonical_form(sent: str, stored: str):
    assert canonical(sent) == stored


@pytest.mark.parametrize("sent", ["👍", "+1", ":Party:", "Party", "❤\ufe0f", ":party::skin-tone-2:", "1\ufe0f\u20e3"])
def test_the_canonical_form_is_its_own(sent: str):
    assert canonical(canonical(sent)) == canonical(sent)
