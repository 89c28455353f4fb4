"""Events about messages: edits, deletions, pins and reactions, folded onto new and stored rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from tailrace.consumers.postgres.archive import put_away
from tailrace.consumers.postgres.session import Session, to_json
from tailrace.projections.messages import CHANGED_COLUMNS, MESSAGE_EVENTS, finish_message, fold_message
from tailrace.projections.postings import Postings
from tailrace.projections.reactions import REACTION_EVENTS, Fact, fold_reaction, reactions_column
from tailrace.projections.registers import Row, moment
from tailrace.projections.rollups import Rollups
from tailrace.projections.threads import canonical
from tailrace.schemas.event import Event

_JSON = ("formatted_content", "edit_history", "registers")


@dataclass
class MessageWork:
    """The messages a batch touches. `stored` are rows that were there before, `changed` those to be written."""

    postings: Postings
    roots: dict[str, str | None]
    stored: dict[str, Row] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    facts: dict[tuple[str, str, str], Fact] = field(default_factory=dict)
    erased: dict[str, datetime] = field(default_factory=dict)
    recount_roots: set[str] = field(default_factory=set)
    recount_channels: set[str] = field(default_factory=set)
    list_channels: set[str] = field(default_factory=set)
    """Channels of which some message looks different now."""
    finished: set[str] = field(default_factory=set)
    """New messages that events of this batch are about, or whose author is erased; the others are as posted."""

    def canonical(self, event: Event) -> str:
        """Id of the stored message that the event is about."""
        return canonical(event.data["message_id"], self.postings.known)

    async def load(self, session: Session, events: Iterable[Event]) -> None:
        """Load the stored rows that will change and which of the people involved are erased."""
        ids = {self.canonical(event) for event in events if event.type in MESSAGE_EVENTS} | set(self.roots)
        wanted = [self.postings.known[i] for i in ids if i not in self.postings.rows and i in self.postings.known]
        if wanted:
            keys = ([posted.message_id for posted in wanted], [posted.created_at for posted in wanted])
            for record in await session.fetch_of_messages("load_messages", *keys):
                row = dict(record)
                for column in _JSON:
                    row[column] = None if row[column] is None else orjson.loads(row[column])
                row |= {name: str(row[name]) for name in ("message_id", "channel_id", "user_id", "posted_event")}
                row["thread_id"] = None if row["thread_id"] is None else str(row["thread_id"])
                self.stored[row["message_id"]] = row
        people = {row["user_id"] for rows in (self.postings.rows, self.stored) for row in rows.values()}
        people |= {event.data["user_id"] for event in events if event.type in REACTION_EVENTS}
        if people:
            found = await session.fetch("erased_users", list(people))
            self.erased = {str(record["user_id"]): record["erased_at"] for record in found}

    def fold(self, events: Iterable[Event]) -> None:
        """Fold events whose messages are known, then derive what follows."""
        touched: set[str] = set()
        for event in events:
            message_id = self.canonical(event)
            if event.type in REACTION_EVENTS:
                fold_reaction(self.facts, event, message_id)
            elif fold_message(self._row(message_id), event):
                touched.add(message_id)
        rows = self.postings.rows
        new = touched & rows.keys()
        if self.erased:
            new |= {message_id for message_id, row in rows.items() if row["user_id"] in self.erased}
        self.finished = new
        for message_id in new:
            row = rows[message_id]
            finish_message(row, self.erased.get(row["user_id"]))
        for message_id in touched & self.stored.keys():
            self._finish_stored(self.stored[message_id])
        self._reroot()
        self._count_new_replies()
        self._new_reactions()

    def _row(self, message_id: str) -> Row:
        return self.postings.rows.get(message_id) or self.stored[message_id]

    def _finish_stored(self, row: Row) -> None:
        was_deleted = row["is_deleted"]
        finish_message(row, self.erased.get(row["user_id"]))
        self.changed.add(row["message_id"])
        if was_deleted != row["is_deleted"]:
            self.recount_channels.add(row["channel_id"])
            if row["thread_id"] is not None:
                self.recount_roots.add(row["thread_id"])

    def _reroot(self) -> None:
        """Give messages the roots that this batch's postings led to; both the old and the new root are recounted."""
        for message_id, root in self.roots.items():
            row = self.postings.rows.get(message_id) or self.stored.get(message_id)
            if row is None:
                continue
            if row["thread_id"] != root:
                self.recount_roots |= {i for i in (row["thread_id"], root) if i is not None}
                row["thread_id"] = root
                if message_id in self.stored:
                    self.changed.add(message_id)
            elif root is not None:
                self.recount_roots.add(root)

    def _count_new_replies(self) -> None:
        """Count replies in Python where root and replies are all new in this batch, else leave them to a recount.

        A new root that no stored reply waited for can only have replies of this batch; counting them here saves the
        second row version that an update would write.
        """
        for row in self.postings.rows.values():
            root_id = row["thread_id"]
            if root_id is None or row["is_deleted"]:
                continue
            root = self.postings.rows.get(root_id)
            if root is None or root_id in self.recount_roots:
                self.recount_roots.add(root_id)
            elif root["channel_id"] == row["channel_id"]:
                root["reply_count"] += 1
                root["last_reply_at"] = max(root["last_reply_at"] or row["created_at"], row["created_at"])

    def _new_reactions(self) -> None:
        """A message that is new has no reactions but this batch's, so its column is written with it."""
        by_message: dict[str, list[Fact]] = {}
        for fact in self.facts.values():
            if fact.message_id in self.postings.rows:
                by_message.setdefault(fact.message_id, []).append(fact)
        for message_id, facts in by_message.items():
            self.postings.rows[message_id]["reactions"] = reactions_column(facts, self.erased)

    async def write(self, session: Session, rollups: Rollups) -> None:
        """Write changed rows, reactions and pins, then recount what depends on them."""
        newest: dict[str, datetime | None] = {}
        for row in self.postings.rows.values():
            channel_id, created_at = row["channel_id"], None if row["is_deleted"] else row["created_at"]
            held = newest.setdefault(channel_id, created_at)
            if created_at is not None and (held is None or created_at > held):
                newest[channel_id] = created_at
        self.list_channels |= newest.keys()
        if self.changed:
            rows = [self.stored[message_id] for message_id in sorted(self.changed)]
            self.list_channels |= {row["channel_id"] for row in rows}
            columns = ("message_id", "created_at", *CHANGED_COLUMNS)
            await put_away(session, rows)
            await session.fetch_of_messages("update_messages", to_json([{c: row[c] for c in columns} for row in rows]))
        await self._write_reactions(session, rollups)
        await self._write_pins(session)
        if self.recount_roots:
            await recount_roots(session, self.recount_roots)
        if raised := sorted((channel_id, time) for channel_id, time in newest.items() if time is not None):
            await session.fetch("raise_last_message", *zip(*raised, strict=True))

    async def _write_reactions(self, session: Session, rollups: Rollups) -> None:
        facts = [self.facts[key] for key in sorted(self.facts)]
        if not facts:
            return
        known = self.postings.known
        changed = await session.fetch(
            "merge_reactions",
            [fact.message_id for fact in facts],
            [fact.user_id for fact in facts],
            [fact.emoji for fact in facts],
            [fact.channel_id for fact in facts],
            [known[fact.message_id].created_at for fact in facts],
            [fact.added_at for fact in facts],
            [fact.is_active for fact in facts],
            [fact.first_added_at for fact in facts],
            [fact.sequence for fact in facts],
            [fact.event_id for fact in facts],
        )
        stored = set()
        for record in changed:
            message_id, user_id = str(record["message_id"]), str(record["user_id"])
            if message_id not in self.postings.rows:
                stored.add((message_id, record["message_created_at"]))
                self.list_channels.add(known[message_id].channel_id)
            if record["first_added_at"] is not None:
                fact = self.facts[message_id, user_id, record["emoji"]]
                moved = record["before"], record["first_added_at"]
                rollups.reacted(fact.workspace_id, user_id, *moved, fact.appended_at)
        if stored:
            await session.fetch_of_messages("recompute_reactions", *zip(*sorted(stored), strict=True))

    async def _write_pins(self, session: Session) -> None:
        put, drop = [], []
        new = (self.postings.rows[message_id] for message_id in self.finished)
        rows = (*new, *(self.stored[message_id] for message_id in self.changed))
        for row in rows:
            if not row["registers"] or (pinned := row["registers"].get("pinned")) is None:
                continue
            key = (row["channel_id"], row["message_id"])
            if row["is_pinned"]:
                put.append((*key, pinned[4], moment(pinned[2])))
            elif row["message_id"] in self.stored:
                drop.append(key)
        if put:
            await session.fetch("put_pins", *zip(*put, strict=True))
        if drop:
            await session.fetch("drop_pins", *zip(*sorted(drop), strict=True))


async def recount_roots(session: Session, roots: Iterable[str]) -> None:
    """Recount the visible replies of these messages; unknown ones are passed over."""
    found = await session.fetch("roots", sorted(roots))
    if found:
        columns = ([r["message_id"] for r in found], [r["created_at"] for r in found], [r["channel_id"] for r in found])
        await session.fetch_of_messages("recount_replies", *columns)
