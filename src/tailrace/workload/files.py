"""Files: uploaded, looked through, scanned, shared, opened, taken away."""

from typing import Any

from tailrace.workload import kinds
from tailrace.workload.company import Channel, Company, File, User, Workspace
from tailrace.workload.messages import name_of, post, say
from tailrace.workload.writer import DAY, SECOND


def upload(c: Company, w: Workspace) -> None:
    """Somebody uploads one file or some, and posts them; processing and scan take their time."""
    channel = c.channel(w)
    user = c.member(channel)
    dice = c.dice
    files = [_upload_one(c, w, user) for _ in range(1 if dice.chance(0.85) else 2 + dice.below(2))]
    c.agenda.add(c.later(SECOND // 5, 6 * SECOND), _post_files, c, channel, user, files)


def _upload_one(c: Company, w: Workspace, user: User) -> File:
    dice, words = c.dice, c.words["files"]
    extension, mime_type, size = dice.pick_early(words["kinds"])
    name = f"{dice.pick(words['stems'])}-{dice.between(1, 999)}.{extension}"
    file = File(c.writer.new_id(), name, w, user)
    data: dict[str, Any] = {
        "file_id": file.id,
        "workspace_id": w.id,
        "uploader_id": user.id,
        "filename": name,
        "original_filename": name if dice.chance(0.8) else name.upper(),
        "file_size": size // 8 + dice.below(2 * size),
        "mime_type": mime_type,
        "file_hash": f"{dice.bits(256):064x}",
        "storage_provider": "s3",
        "storage_bucket": f"files-{w.slug}",
        "storage_key": f"{w.id}/{file.id}",
        "storage_region": dice.pick(("eu-central-1", "us-east-1")),
        "is_public": dice.chance(0.05),
        "tags": dice.sample(words["tags"], dice.below(4)),
    }
    if dice.chance(0.04):
        data["expires_at"] = c.writer.after(dice.between(DAY, 60 * DAY))
    c.writer.emit(kinds.FILE_UPLOADED, file.id, file.id, w.id, data)
    w.files.append(file)
    if dice.chance(0.4):
        c.agenda.add(c.later(SECOND // 10, SECOND), _process, c, file, "processing")
    outcome = "failed" if dice.chance(0.03) else "completed"
    c.agenda.add(c.later(SECOND, 8 * SECOND), _process, c, file, outcome)
    c.agenda.add(c.later(SECOND, 30 * SECOND), _scan, c, file)
    return file


def _process(c: Company, file: File, status: str) -> None:
    data: dict[str, Any] = {"file_id": file.id, "workspace_id": file.workspace.id, "processing_status": status}
    if status == "completed":
        if file.name.endswith(("png", "jpg", "pdf", "mp4")):
            data["thumbnails"] = {"160": f"thumbs/{file.id}/160.webp", "720": f"thumbs/{file.id}/720.webp"}
        if file.name.endswith(("pdf", "docx", "txt", "csv")):
            data["extracted_text"] = " ".join(c.texts.line(file.uploader.language) for _ in range(2 + c.dice.below(12)))
    c.writer.emit(kinds.FILE_PROCESSED, file.id, file.id, file.workspace.id, data)


def _scan(c: Company, file: File) -> None:
    infected = c.dice.chance(0.3 if file.name.endswith("exe") else 0.008)
    status = "infected" if infected else "failed" if c.dice.chance(0.01) else "clean"
    data = {"file_id": file.id, "workspace_id": file.workspace.id, "virus_scan_status": status}
    if infected:
        data["virus_scan_result"] = "Test.Signature-1"
    c.writer.emit(kinds.FILE_SCANNED, file.id, file.id, file.workspace.id, data)


def _post_files(c: Company, channel: Channel, user: User, files: list[File]) -> None:
    """Post a message that announces the files, and share each of them to it."""
    if user.id not in channel.joined:
        return
    content = c.dice.pick(c.words["files"]["comments"]) if c.dice.chance(0.4) else ""
    extra = {"message_type": "file", "file_ids": [file.id for file in files], "client_msg_id": c.dice.uuid4()}
    message = say(c, channel, user, content, extra)
    for file in files:
        file.shares.append((channel, message))
        data = {
            "file_id": file.id,
            "workspace_id": channel.workspace.id,
            "channel_id": channel.id,
            "message_id": message.id,
            "message_created_at": message.created_at,
        }
        if c.dice.chance(0.2):
            data["file_comment"] = c.dice.pick(c.words["files"]["comments"])
        c.writer.emit(kinds.FILE_SHARED, file.id, f"{message.id}/{file.id}", channel.workspace.id, data)


def share_file(c: Company, w: Workspace) -> None:
    """Somebody posts a file that is there already in another channel."""
    if not w.files:
        return upload(c, w)
    channel = c.channel(w)
    return _post_files(c, channel, c.member(channel), [c.dice.pick(w.files)])


def unshare_file(c: Company, w: Workspace) -> None:
    """Somebody takes a file off the message it was first shared with."""
    file = next((file for file in w.files if file.shares), None)
    if file is None:
        return share_file(c, w)
    channel, message = file.shares.pop(0)
    named, created_at = name_of(c, message)
    data = {"file_id": file.id, "workspace_id": w.id, "channel_id": channel.id, "message_id": named}
    if c.dice.chance(0.7):
        data["message_created_at"] = created_at
    return c.writer.emit(kinds.FILE_UNSHARED, file.id, f"{named}/{file.id}", w.id, data)


def access_file(c: Company, w: Workspace) -> None:
    """Somebody opens a file."""
    if not w.files:
        return post(c, w)
    return _use(c, c.dice.pick(w.files), c.dice.pick(w.members), kinds.FILE_ACCESSED)


def delete_file(c: Company, w: Workspace) -> None:
    """Somebody deletes a file."""
    if not w.files:
        return post(c, w)
    file = c.dice.pick(w.files)
    w.files.remove(file)
    return _use(c, file, w.owner if file.uploader.erased else file.uploader, kinds.FILE_DELETED)


def _use(c: Company, file: File, user: User, kind: kinds.Kind) -> None:
    data = {"file_id": file.id, "workspace_id": file.workspace.id, "user_id": user.id}
    c.writer.emit(kind, file.id, file.id, file.workspace.id, data)
