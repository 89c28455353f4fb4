"""Slack's mark-up, as people read it."""

from typing import Any

import pytest

from tailrace.history.slack_text import TextReader, markup_of

READER = TextReader({"U1": "Ada"}.get, {"C1": "general"}.get)


@pytest.mark.parametrize(
    ("markup", "content"),
    [
        ("plain *bold* _it_ :tada:", "plain *bold* _it_ :tada:"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;", "&lt;"),
        ("<@U1>", "@Ada"),
        ("<@U1|ada.l>", "@Ada"),
        ("<@U9|grace>", "@grace"),
        ("<@U9>", "@U9"),
        ("<#C1>", "#general"),
        ("<#C1|old-name>", "#old-name"),
        ("<#C9>", "#C9"),
        ("<!here> <!channel|@channel> <!everyone>", "@here @channel @everyone"),
        ("<!subteam^S1|@ops> <!subteam^S2>", "@ops @S2"),
        ("<!date^1392734382^{date}|Feb 18, 2014>", "Feb 18, 2014"),
        ("<https://a.test/x?a=1&amp;b=2>", "https://a.test/x?a=1&b=2"),
        ("<https://a.test|the docs>", "the docs (https://a.test)"),
        ("<http://a.test|a.test>", "http://a.test"),
        ("<mailto:ada@acme.test|ada@acme.test>", "ada@acme.test"),
        ("<tel:123|123>", "123"),
        ("```x <- y```", "```x <- y```"),
        ("<> <@> <!> <|x>", "<> @ @ x ()"),
    ],
)
def test_references_become_names(markup: Any, content: Any):
    assert READER.read(markup).content == content


def test_everybody_named_is_a_mention_once_in_order():
    assert READER.read("<@U2> <@U1|x> <@U2> &lt;@U3&gt;").mentions == ["U2", "U1"]


def test_strange_references_are_counted():
    assert READER.read("<!foo|bar> <!here> <!baz>").unknown == 2


@pytest.mark.parametrize(
    ("message", "markup"),
    [
        ({"text": "said", "attachments": [{"text": "shown"}]}, "said"),
        ({"attachments": [{"pretext": "New", "title": "Build 5", "text": "failed"}]}, "New\nBuild 5\nfailed"),
        ({"attachments": [{"fallback": "Build 5 failed"}]}, "Build 5 failed"),
        ({"attachments": [{"fields": [{"title": "CPU", "value": "90"}, {"value": "hot"}]}]}, "CPU: 90\nhot"),
        ({"text": "", "attachments": [], "blocks": None}, ""),
        (
            {
                "blocks": [
                    {"type": "header", "text": {"type": "plain_text", "text": "Lunch?"}},
                    {"type": "divider"},
                    {
                        "type": "section",
                        "fields": [{"type": "mrkdwn", "text": "yes"}, {"type": "mrkdwn", "text": "no"}],
                    },
                ]
            },
            "Lunch?\n\nyes\nno",
        ),
        (
            {
                "blocks": [
                    {
                        "type": "rich_text",
                        "elements": [
                            {
                                "type": "rich_text_section",
                                "elements": [
                                    {"type": "user", "user_id": "U1"},
                                    {"type": "text", "text": " sees "},
                                    {"type": "link", "url": "https://a.test"},
                                    {"type": "emoji", "name": "tada"},
                                    {"type": "channel", "channel_id": "C1"},
                                ],
                            }
                        ],
                    }
                ]
            },
            "<@U1> sees https://a.test:tada:<#C1>",
        ),
    ],
)
def test_a_message_without_text_says_what_is_shown_in_its_place(message: Any, markup: Any):
    assert markup_of(message) == markup


def test_blocks_nested_without_end_are_read_to_a_depth():
    block = {"type": "text", "text": "deep"}
    for _ in range(5_000):
        block = {"elements": [block]}

    assert markup_of({"blocks": [block]}) == ""
