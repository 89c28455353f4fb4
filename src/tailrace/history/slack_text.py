"""Slack's mark-up as text a person can read and a search can find.

Slack escapes `&`, `<` and `>` and writes references in angle brackets (its "Formatting text for app surfaces"):
`<@U1>`, `<#C1|name>`, `<!here>`, `<!subteam^S1|@team>`, `<!date^…|text>`, `<https://…|label>`. They become `@name`,
`#name`, `@here`, `@team`, the date's text and `label (https://…)`. Emphasis and `:emoji:` stay as they were typed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tailrace.history.values import first_text, object_of, objects_of

_REFERENCE = re.compile(r"<([^<>]+)>")
_SCHEMES: Final = ("mailto:", "tel:")
_EVERYBODY: Final = ("here", "channel", "everyone", "group")
_REFERENCES: Final = {
    "user": ("<@{}>", "user_id"),
    "channel": ("<#{}>", "channel_id"),
    "emoji": (":{}:", "name"),
}
"""Elements of rich text that only name something: the mark-up for it, and the field with the name."""
_NESTED_MAX: Final = 20
"""Blocks nested deeper than this are not read; Slack's own go to about six."""


@dataclass(slots=True)
class Readable:
    """A text, and the Slack ids of the users it names, each once, in order; `unknown` counts strange references."""

    content: str
    mentions: list[str] = field(default_factory=list)
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads mark-up; the two functions give the name for a Slack id, None where it is not known."""

    user_name: Callable[[str], str | None]
    channel_name: Callable[[str], str | None]

    def read(self, text: str) -> Readable:
        """Turn mark-up into readable text."""
        readable = Readable("")
        parts, end = [], 0
        for match in _REFERENCE.finditer(text):
            parts += [unescape(text[end : match.start()]), self._reference(match[1], readable)]
            end = match.end()
        readable.content = "".join([*parts, unescape(text[end:])])
        readable.mentions = list(dict.fromkeys(readable.mentions))
        return readable

    def _reference(self, reference: str, readable: Readable) -> str:
        target, _, label = reference.partition("|")
        label = unescape(label)
        sign = target[:1]
        if sign == "@" and len(target) > 1:
            readable.mentions.append(target[1:])
            return "@" + (self.user_name(target[1:]) or label.removeprefix("@") or target[1:])
        if sign == "#":
            return "#" + (label or self.channel_name(target[1:]) or target[1:])
        if sign == "!":
            return self._command(target[1:], label, readable)
        return _link(unescape(target), label)

    def _command(self, command: str, label: str, readable: Readable) -> str:
        name, _, rest = command.partition("^")
        if name in _EVERYBODY:
            return f"@{name}"
        if name == "subteam":
            return label or f"@{rest}"
        if name != "date":
            readable.unknown += 1
        return label or f"@{name}"


def unescape(text: str) -> str:
    """Undo the three entities that Slack escapes, `&amp;` last so that it is not undone twice."""
    if "&" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _link(target: str, label: str) -> str:
    for scheme in _SCHEMES:
        target = target.removeprefix(scheme)
    bare = target.partition("://")[2].rstrip("/")
    return target if label in {"", target, bare, target.rstrip("/")} else f"{label} ({target})"


def markup_of(message: dict[str, Any]) -> str:
    """Return the mark-up of a message: its text, else what its attachments say, else what its blocks say."""
    if text := first_text(message.get("text")):
        return text
    attachments = [_attachment(item) for item in objects_of(message.get("attachments"))]
    if any(attachments):
        return "\n".join(filter(None, attachments))
    return "".join(_block(block, _NESTED_MAX) for block in objects_of(message.get("blocks"))).strip()


def _attachment(attachment: dict[str, Any]) -> str:
    parts = [first_text(attachment.get(name)) or "" for name in ("pretext", "title", "text")]
    for entry in objects_of(attachment.get("fields")):
        pair = (first_text(entry.get("title")), first_text(entry.get("value")))
        parts += [": ".join(filter(None, pair))]
    said = "\n".join(filter(None, parts))
    return said or first_text(attachment.get("fallback")) or ""


def _block(block: dict[str, Any], depth: int) -> str:
    if depth == 0:
        return ""
    kind, text = block.get("type"), block.get("text")
    if kind in _REFERENCES:
        shape, name = _REFERENCES[kind]
        return shape.format(block.get(name, ""))
    if isinstance(text, str) or kind == "link":
        return first_text(text, block.get("url")) or ""
    said = "".join(_block(item, depth - 1) for item in (object_of(text), *objects_of(block.get("elements"))) if item)
    said += "".join(f"\n{_block(item, depth - 1)}" for item in objects_of(block.get("fields")))
    return f"{said}\n" if said and kind not in {"rich_text", "context"} else said
