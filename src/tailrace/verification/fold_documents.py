"""From the folded tables to the documents that a search must be able to find (CONTRACT, 4; rulings 48, 49, 66–68)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tailrace.verification.fold_log import FreeRow, Row, Table

MESSAGES = "search.messages"
FILES = "search.files"
USERS = "search.users"


def search_documents(tables: Mapping[str, Table], now: datetime) -> dict[str, Table]:
    """Give the documents that are live, by the name of their comparison: {key: {field: value}}.

    `tables` is what `fold` gives, `now` an aware time by which a file's expiry is judged. What is unknown is None; a
    document may leave such a field out (66).
    """
    return {
        MESSAGES: dict(_messages(tables)),
        FILES: dict(_files(tables, now)),
        USERS: dict(_users(tables)),
    }


def _messages(tables: Mapping[str, Table]) -> Iterator[tuple[tuple[Any, ...], Row]]:
    nothing: Row = {}
    for (message_id, created_at), row in tables["messages"].items():
        channel = tables["channels"].get((row["channel_id"],), nothing)
        workspace = tables["workspaces"].get((row["workspace_id"],), nothing)
        if row["is_deleted"] or channel.get("deleted_at") or workspace.get("deleted_at"):
            continue
        author = tables["users"].get((row["user_id"],), nothing)
        yield (
            (message_id,),
            {
                **{name: row[name] for name in ("workspace_id", "channel_id", "user_id", "content", "message_type")},
                "username": author.get("username"),
                "display_name": author.get("display_name"),
                "channel_name": channel.get("name"),
                "thread_id": row["thread_id"],
                "mentions": list(row["mentions"]),
                "has_files": row["has_files"],
                "reaction_count": sum(len(users) for users in row["reactions"].values()),
                "created_at": created_at,
                "updated_at": row["updated_at"],
            },
        )


def _files(tables: Mapping[str, Table], now: datetime) -> Iterator[tuple[tuple[Any, ...], Row]]:
    visible = {message_id for (message_id, _), row in tables["messages"].items() if not row["is_deleted"]}
    channels: dict[str, set[str]] = {}
    for (message_id, file_id), share in tables["message_files"].items():
        if message_id in visible:
            channels.setdefault(file_id, set()).add(share["channel_id"])
    for (workspace_id, file_id), row in tables["files"].items():
        workspace = tables["workspaces"].get((workspace_id,), {})
        is_infected = row.get("virus_scan_status") == "infected"
        if row.get("deleted_at") or is_infected or workspace.get("deleted_at"):
            continue
        uploader = tables["users"].get((row["uploader_id"],), {})
        document = {
            "workspace_id": workspace_id,
            **{name: row[name] for name in ("mime_type", "uploader_id", "tags", "filename", "extracted_text")},
            "file_size": row["file_size"],
            "uploader_name": uploader.get("display_name"),
            "channel_ids": sorted(channels.get(file_id, ())),
            "created_at": row["created_at"],
        }
        expires_at = row.get("expires_at")
        # When it stops being found after its time is the keeper's business (49).
        yield (file_id,), document if expires_at is None or expires_at > now else FreeRow(document)


def _users(tables: Mapping[str, Table]) -> Iterator[tuple[tuple[Any, ...], Row]]:
    for (workspace_id, user_id), member in tables["workspace_members"].items():
        user = tables["users"].get((user_id,), {})
        # A profile always has a username (CONTRACT section 1); erasure takes it away.
        if member["status"] != "active" or user.get("username") is None:
            continue
        yield (
            (workspace_id, user_id),
            {
                **{name: user[name] for name in ("username", "email", "display_name", "bio", "status")},
                "department": member["department"],
                "title": member["title"] if member["title"] is not None else user["title"],
                "last_active": member.get("last_seen_at"),
            },
        )
