"""What may change in the contract, and what must not: one document against an earlier one, with reasons in words.

Two promises are judged. *Backward*: readers of today read everything that was ever published; topics are kept for ever.
*Forward*: readers of the earlier revision read what producers publish today under a version they know. So within one
version of a type only optional fields may be added, and anything else takes a new version with an upcaster.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from tailrace.contract.revision import Contract

Promise = Literal["backward", "forward"]
Schema = dict[str, Any]

_LOWER: Final = ("minimum", "minLength")
_UPPER: Final = ("maximum", "maxLength")
_JSON_TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")


@dataclass(frozen=True, slots=True)
class Break:
    """One change that breaks a promise.

    `where` is a type's version, `envelope` or a topic; `path` the field in an event; `old` and `new` are in words.
    """

    promise: Promise
    where: str
    path: str
    rule: str
    old: str
    new: str
    reason: str

    def __str__(self) -> str:
        """One line: where, path, rule, old → new, and why."""
        return f"{self.where}  {self.path}  {self.rule}  {self.old} → {self.new}  ({self.promise}: {self.reason})"


def breaks(old: Contract, new: Contract) -> list[Break]:
    """Every change from `old` to `new` that breaks a promise; none means that `new` may be released."""
    return [
        *_topics(old, new),
        *_schema("envelope", "", old["envelope"], new["envelope"]),
        *(broken for name in old["types"] for broken in _type(name, old, new)),
    ]


def _topics(old: Contract, new: Contract) -> Iterator[Break]:
    for name, topic in old["topics"].items():
        if name not in new["topics"]:
            yield Break("backward", name, "topic", "topic removed", name, "–", "nobody reads what is in it")
            continue
        before, after = topic["retention_days"], new["topics"][name]["retention_days"]
        if after is not None and (before is None or after < before):
            reason = "a replay does not find what it found before"
            yield Break("backward", name, "retention", "kept shorter", _days(before), _days(after), reason)


def _days(days: int | None) -> str:
    return "for ever" if days is None else f"{days} d"


def _type(name: str, old: Contract, new: Contract) -> Iterator[Break]:
    before, after = old["types"][name], new["types"].get(name)
    if after is None:
        yield Break("backward", name, "type", "type removed", name, "–", "events of it are in the log")
        return
    if before["topic"] != after["topic"]:
        reason = "readers of the old topic get no more of it, and its order breaks in between"
        yield Break("forward", name, "topic", "topic changed", before["topic"], after["topic"], reason)
    if before["key"] != after["key"]:
        reason = "what was published under the old key is refused, and its order breaks in between"
        yield Break("backward", name, "key", "key changed", ", ".join(before["key"]), ", ".join(after["key"]), reason)
    for version, schema in before["versions"].items():
        where = f"{name} v{version}"
        if version not in after["versions"]:
            reason = "events of it are in the log, and there is no upcaster for them any more"
            yield Break("backward", where, "schemaversion", "version missing", version, "–", reason)
        else:
            yield from _schema(where, "data", schema, after["versions"][version])


def _schema(where: str, path: str, old: Schema, new: Schema) -> Iterator[Break]:
    """Compare two schemas of one value."""
    yield from _types(where, path, old, new)
    yield from _values(where, path, old, new)
    yield from _form(where, path, old, new)
    if "properties" in old or "properties" in new:
        yield from _fields(where, path, old, new)
    if "items" in old and "items" in new:
        yield from _schema(where, f"{path}[]", old["items"], new["items"])


def _types(where: str, path: str, old: Schema, new: Schema) -> Iterator[Break]:
    before, after = _type_names(old), _type_names(new)
    if lost := before - after:
        reason = f"events in the log may hold {_words(lost)}, which is refused now"
        yield Break("backward", where, path, "type narrowed", _words(before), _words(after), reason)
    if gained := after - before:
        reason = f"older readers refuse {_words(gained)}"
        yield Break("forward", where, path, "type widened", _words(before), _words(after), reason)


def _type_names(schema: Schema) -> frozenset[str]:
    """Names of the JSON types that fit; an integer is a number, too."""
    names = schema.get("type", _JSON_TYPES if not {"const", "enum"} & schema.keys() else ())
    found = frozenset([names] if isinstance(names, str) else names)
    return found | {"integer"} if "number" in found else found


def _values(where: str, path: str, old: Schema, new: Schema) -> Iterator[Break]:
    before, after = _choice(old), _choice(new)
    if after is not None and (before is None or before - after):
        rule = "enum value removed" if before is not None else "type narrowed"
        lost = _words(before - after) if before is not None else "other values"
        reason = f"events in the log may hold {lost}, which is refused now"
        yield Break("backward", where, path, rule, _words(before), _words(after), reason)
    if before is not None and (after is None or after - before):
        rule = "enum value added" if after is not None else "type widened"
        gained = _words(after - before) if after is not None else "other values"
        reason = f"older readers refuse {gained}"
        yield Break("forward", where, path, rule, _words(before), _words(after), reason)


def _choice(schema: Schema) -> frozenset[Any] | None:
    """The values an enumeration allows, null apart: that is a type."""
    if "const" in schema:
        return frozenset([schema["const"]])
    return frozenset(value for value in schema["enum"] if value is not None) if "enum" in schema else None


def _form(where: str, path: str, old: Schema, new: Schema) -> Iterator[Break]:
    for name in ("pattern", "format"):
        before, after = old.get(name), new.get(name)
        if before != after and after is not None:
            reason = "events in the log may have another form"
            yield Break("backward", where, path, f"{name} changed", _words(before), _words(after), reason)
        if before != after and before is not None:
            reason = "older readers refuse other forms"
            yield Break("forward", where, path, f"{name} changed", _words(before), _words(after), reason)
    for name in (*_LOWER, *_UPPER):
        yield from _bound(where, path, name, (old.get(name), new.get(name)))
    if "default" in old and old["default"] != new.get("default"):
        reason = "events in the log that leave it out mean something else now"
        yield Break(
            "backward", where, path, "default changed", _words(old["default"]), _words(new.get("default")), reason
        )


def _bound(where: str, path: str, name: str, bounds: tuple[Any, Any]) -> Iterator[Break]:
    """An absent bound is the loosest."""
    before, after = bounds
    if before == after:
        return
    if after is not None and (before is None or (after > before) == (name in _LOWER)):
        reason = "events in the log may lie outside"
        yield Break("backward", where, path, f"{name} narrowed", _words(before), _words(after), reason)
    else:
        reason = "older readers refuse what lies outside"
        yield Break("forward", where, path, f"{name} widened", _words(before), _words(after), reason)


def _fields(where: str, path: str, old: Schema, new: Schema) -> Iterator[Break]:
    before, after = old.get("properties", {}), new.get("properties", {})
    required_before, required_after = set(old.get("required", ())), set(new.get("required", ()))
    for name in before.keys() | after.keys():
        inner = f"{path}.{name}" if path else name
        was, now = name in required_before, name in required_after
        if name not in after:
            yield from _removed(where, inner, was_required=was)
        elif name not in before:
            if now:
                reason = "events in the log do not have it"
                yield Break("backward", where, inner, "required field added", "–", "required", reason)
        else:
            if now and not was:
                reason = "events in the log may leave it out"
                yield Break("backward", where, inner, "made required", "optional", "required", reason)
            if was and not now:
                reason = "older readers refuse an event without it"
                yield Break("forward", where, inner, "made optional", "required", "optional", reason)
            yield from _schema(where, inner, before[name], after[name])


def _removed(where: str, path: str, *, was_required: bool) -> Iterator[Break]:
    old = "required" if was_required else "optional"
    reason = "what events in the log say there is not read any more"
    yield Break("backward", where, path, "field removed", old, "–", reason)
    if was_required:
        reason = "older readers refuse an event without it"
        yield Break("forward", where, path, "field removed", old, "–", reason)


def _words(value: Any) -> str:
    """A value or a set of them, short enough for a line."""
    if value is None:
        return "–"
    if isinstance(value, frozenset | set):
        return "·".join(sorted(str(item) for item in value))
    return str(value)
