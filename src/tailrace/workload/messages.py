"""Messages: posting, answering, editing, deleting, pinning, reacting, reading."""

from typing import Any, Final

from tailrace.workload import kinds
from tailrace.workload.company import OLDER_MAX, REACTIONS_MAX, Channel, Company, Message, User, Workspace
from tailrace.workload.writer import HOUR, MINUTE

_OLDER_BITS: Final = 5
_EDITED_MAX: Final = 8_000
_RETRY_WINDOW: Final = 10 * MINUTE
_ALIAS_SHARE: Final = 0.5
_CREATED_AT_SHARE: Final = 0.85


def say(c: Company, channel: Channel, author: User, content: str, extra: dict[str, Any] | None = None) -> Message:
    """Post a message. `extra` holds or replaces fields of `data`."""
    writer, dice = c.writer, c.dice
    message = Message(writer.new_id(), writer.time, writer.now, author, content)
    data: dict[str, Any] = {
        "message_id": message.id,
        "channel_id": channel.id,
        "workspace_id": channel.workspace.id,
        "user_id": author.id,
        "content": content,
        "message_type": "text",
        "mentions": [],
        "file_ids": [],
        "created_at": message.created_at,
    }
    if extra:
        data.update(extra)
        message.client_id = data.get("client_msg_id")
    writer.emit(kinds.MESSAGE_POSTED, channel.id, message.id, channel.workspace.id, data)
    channel.recent.append(message)
    if not dice.bits(_OLDER_BITS):
        if len(channel.older) < OLDER_MAX:
            channel.older.append(message)
        else:
            channel.older[dice.below(OLDER_MAX)] = message
    return message


def user_text(c: Company, channel: Channel, author: User) -> tuple[str, dict[str, Any]]:
    """What somebody writes: the content, and the fields that go with it."""
    dice = c.dice
    language = author.language
    if dice.chance(0.3):
        language = "en" if dice.chance(0.5) else channel.workspace.language
    content = c.texts.message(language)
    extra: dict[str, Any] = {}
    if dice.chance(0.92):
        extra["client_msg_id"] = dice.uuid4()
    if dice.chance(0.1):
        named = [c.member(channel) for _ in range(1 + dice.below(3))]
        content = f"{' '.join('@' + user.username for user in named)} {content}"
        extra["mentions"] = [user.id for user in named]
    elif dice.chance(0.04):
        extra["formatted_content"] = {"type": "doc", "blocks": [{"type": "paragraph", "text": content, "bold": False}]}
    if not c.writer.now % 89:  # fields the contract does not know are legal
        extra["client_version"] = "8.4.1"
    return content, extra


def post(c: Company, w: Workspace) -> None:
    """Somebody says something."""
    channel = c.channel(w)
    author = c.member(channel)
    content, extra = user_text(c, channel, author)
    say(c, channel, author, content, extra)


def reply(c: Company, w: Workspace) -> None:
    """Somebody answers: threads that are answered get more answers; some answer an answer."""
    channel = c.channel(w)
    dice = c.dice
    if channel.threads and dice.chance(0.7):
        target: Message | None = dice.pick(channel.threads)
    else:
        target = c.message(channel)
    if target is None:
        return post(c, w)
    author = c.member(channel)
    content, extra = user_text(c, channel, author)
    root_id = target.root_id or target.id
    named = name_of(c, target)[0]
    extra["thread_id"] = root_id if target.root_id and dice.chance(0.85) else named
    answer = say(c, channel, author, content, extra)
    answer.root_id = root_id
    channel.threads.append(answer)
    return None


def retry(c: Company, w: Workspace) -> None:
    """A client that got no answer sends its last message again, under another id: an alias of the first."""
    channel = c.channel(w)
    writer = c.writer
    first = channel.recent[-1] if channel.recent else None
    if first is None or not first.client_id or first.alias or writer.now - first.created_us > _RETRY_WINDOW:
        return post(c, w)
    data: dict[str, Any] = {
        "message_id": writer.new_id(),
        "channel_id": channel.id,
        "workspace_id": w.id,
        "user_id": first.author.id,
        "content": first.content,
        "message_type": "text",
        "client_msg_id": first.client_id,
        "mentions": [],
        "file_ids": [],
        "created_at": writer.time,
    }
    if first.root_id:
        data["thread_id"] = first.root_id
    first.alias = (data["message_id"], writer.time)
    return writer.emit(kinds.MESSAGE_POSTED, channel.id, data["message_id"], w.id, data)


def bot_post(c: Company, w: Workspace) -> None:
    """An app reports."""
    if w.bot is None:
        return post(c, w)
    channel = w.channels[c.dice.zipf(len(w.channels))]
    text = c.texts.fill(c.dice.pick(c.words["blocks"]["bot"]))
    say(c, channel, w.bot, text, {"message_type": "bot"})
    return None


def system_post(c: Company, w: Workspace) -> None:
    """The channel itself notes what somebody did."""
    channel = w.channels[c.dice.zipf(len(w.channels))]
    actor = c.member(channel)
    text = c.texts.fill(c.dice.pick(c.words["blocks"]["system"]), name=actor.display_name)
    say(c, channel, actor, text, {"message_type": "system"})


def name_of(c: Company, message: Message) -> tuple[str, str]:
    """Id and time under which an event names the message; a retried one goes by either of its ids."""
    if message.alias and c.dice.random() < _ALIAS_SHARE:
        return message.alias
    return message.id, message.created_at


def about(c: Company, channel: Channel, message: Message) -> dict[str, Any]:
    """Build the start of `data` of every event about a message; most say when it was created, not all."""
    named, created_at = name_of(c, message)
    data = {"message_id": named, "channel_id": channel.id, "workspace_id": channel.workspace.id}
    if c.dice.random() < _CREATED_AT_SHARE:
        data["message_created_at"] = created_at
    return data


def edit(c: Company, w: Workspace) -> None:
    """The author corrects a message; some save it without a change."""
    channel = c.channel(w)
    message = c.message(channel)
    if message is None or message.author.erased:
        return post(c, w)
    if c.dice.chance(0.4):
        message.content = f"{message.content} {c.texts.line(message.author.language)}"[:_EDITED_MAX]
    elif c.dice.chance(0.75):
        message.content = c.texts.message(message.author.language)
    data = about(c, channel, message)
    data |= {"editor_id": message.author.id, "content": message.content, "mentions": [], "edited_at": c.writer.time}
    return c.writer.emit(kinds.MESSAGE_EDITED, channel.id, data["message_id"], w.id, data)


def delete(c: Company, w: Workspace) -> None:
    """The author or an admin deletes a message."""
    channel = c.channel(w)
    message = c.message(channel)
    if message is None or message.deleted:
        return post(c, w)
    actor = message.author if c.dice.chance(0.8) and not message.author.erased else w.owner
    message.deleted = True
    channel.trash.append(message)
    data = about(c, channel, message) | {"actor_id": actor.id}
    return c.writer.emit(kinds.MESSAGE_DELETED, channel.id, data["message_id"], w.id, data)


def restore(c: Company, w: Workspace) -> None:
    """An admin brings a deleted message back."""
    channel = next((ch for ch in w.channels if ch.trash), None)
    if channel is None:
        return delete(c, w)
    message = channel.trash.pop()
    message.deleted = False
    data = about(c, channel, message) | {"actor_id": w.owner.id}
    return c.writer.emit(kinds.MESSAGE_RESTORED, channel.id, data["message_id"], w.id, data)


def pin(c: Company, w: Workspace) -> None:
    """Somebody pins a message."""
    channel = c.channel(w)
    message = c.message(channel)
    if message is None or message.pinned:
        return post(c, w)
    message.pinned = True
    channel.pins.append(message)
    data = about(c, channel, message) | {"user_id": c.member(channel).id}
    return c.writer.emit(kinds.MESSAGE_PINNED, channel.id, data["message_id"], w.id, data)


def unpin(c: Company, w: Workspace) -> None:
    """Somebody takes a pin off."""
    channel = next((ch for ch in w.channels if ch.pins), None)
    if channel is None:
        return pin(c, w)
    message = channel.pins.popleft()
    message.pinned = False
    data = about(c, channel, message) | {"user_id": c.member(channel).id}
    return c.writer.emit(kinds.MESSAGE_UNPINNED, channel.id, data["message_id"], w.id, data)


def react(c: Company, w: Workspace) -> None:
    """Somebody reacts, often with what is there already; some react twice or once more."""
    channel = c.channel(w)
    message = c.message(channel)
    if message is None:
        return post(c, w)
    dice = c.dice
    reactions = message.reactions
    user, emoji = c.member(channel), dice.pick_early(c.words["reactions"]["emoji"])
    if reactions and dice.chance(0.5):
        earlier, emoji = dice.pick(reactions)
        user = earlier if dice.chance(0.08) else user
    if len(reactions) < REACTIONS_MAX:
        reactions.append((user, emoji))
    data = about(c, channel, message)
    data["user_id"] = user.id
    data["emoji"] = emoji
    return c.writer.emit(kinds.REACTION_ADDED, channel.id, data["message_id"], w.id, data)


def unreact(c: Company, w: Workspace) -> None:
    """Somebody takes a reaction back; now and then one that is gone already, or one that never was."""
    channel = c.channel(w)
    message = next((m for m in reversed(channel.recent) if m.reactions), None)
    if message is None:
        return react(c, w)
    user, emoji = c.dice.pick(message.reactions)
    if c.dice.chance(0.7):
        message.reactions.remove((user, emoji))
    elif c.dice.chance(0.1):
        emoji = ":never_given:"
    data = about(c, channel, message) | {"user_id": user.id, "emoji": emoji}
    return c.writer.emit(kinds.REACTION_REMOVED, channel.id, data["message_id"], w.id, data)


def read(c: Company, w: Workspace) -> None:
    """Somebody reads up to the end of a channel."""
    channel = c.channel(w)
    if not channel.recent:
        return post(c, w)
    newest = channel.recent[-1]
    read_at = c.writer.time if c.dice.chance(0.7) else newest.created_at
    return _read(c, channel, newest, {"last_read_at": read_at})


def mark_unread(c: Company, w: Workspace) -> None:
    """Somebody sets the position back, to look at it again later."""
    channel = c.channel(w)
    if not channel.recent:
        return post(c, w)
    message = c.dice.pick(channel.recent)
    return _read(c, channel, message, {"last_read_at": message.created_at, "mark_unread": True})


def read_long_ago(c: Company, w: Workspace) -> None:
    """A phone that was off reports a position that others have passed: it must not go backwards."""
    channel = c.channel(w)
    if not channel.recent:
        return post(c, w)
    return _read(c, channel, channel.recent[0], {"last_read_at": c.writer.after(-HOUR)})


def _read(c: Company, channel: Channel, message: Message, position: dict[str, Any]) -> None:
    user = c.member(channel)
    data: dict[str, Any] = {
        "channel_id": channel.id,
        "workspace_id": channel.workspace.id,
        "user_id": user.id,
        "last_read_message_id": name_of(c, message)[0],
        **position,
    }
    c.writer.emit(kinds.CHANNEL_READ, channel.id, f"{channel.id}/{user.id}", channel.workspace.id, data)
