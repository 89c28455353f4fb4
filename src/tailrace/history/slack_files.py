"""Files: what Slack says about them. The bytes are not in an export, only addresses."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tailrace.history.generated import EventWriter, Generated, Moment
from tailrace.history.slack_people import People
from tailrace.history.slack_values import SlackIds
from tailrace.history.values import first_text, micros, object_of, objects_of, text_of

SIZE_MAX: Final = 2**63 - 1
_HIDDEN: Final = {"hidden_by_limit", "access_denied", "check_file_info", "file_not_found", "slack_file_not_found"}


def files_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the files a message shares, each once; exports from before 2018 have one, under another name.

    The file of a comment was shared by an earlier message.
    """
    files = objects_of(message.get("files"))
    if not files and message.get("subtype") != "file_comment":
        files = objects_of([message.get("file")])
    found = {file["id"]: file for file in files if text_of(file.get("id"))}
    return list(found.values())


class Files:
    """Makes the events about files. Remembers the files it has met: about a hundred bytes each."""

    def __init__(self, ids: SlackIds, people: People, writer: EventWriter, team: str) -> None:
        self._ids = ids
        self._people = people
        self._writer = writer
        self._team = team
        self._met: set[str] = set()

    def uuid(self, file: Mapping[str, Any]) -> str:
        """Return the file's UUID."""
        return self._ids.file(file["id"])

    def uploaded(self, file: Mapping[str, Any], author: str, at: Moment, place: str) -> Iterator[Generated]:
        """Make the upload, when the file is met first; `author` (a Slack id) and `at` are the message's."""
        if file["id"] in self._met:
            return
        self._met.add(file["id"])
        self._writer.report.saw("files")
        uploader = self._people.meet(text_of(file.get("user")) or author, place)
        moment = Moment(micros(file.get("created")) or micros(file.get("timestamp")) or at.us)
        data = self._data(file, uploader, place)
        yield from self._people.registrations()
        yield self._writer.write("file.uploaded", data["file_id"], moment, data)
        if file.get("mode") == "tombstone":
            self._writer.report.saw("files_deleted")
            gone = {"file_id": data["file_id"], "workspace_id": self._ids.workspace, "user_id": uploader}
            yield self._writer.write("file.deleted", data["file_id"], moment.then(at.us), gone)

    def shared(self, files: list[dict[str, Any]], message: dict[str, Any], at: Moment) -> Iterator[Generated]:
        """Make the shares; `message` holds the fields that name the message."""
        for index, file in enumerate(files, start=1):
            self._writer.report.saw("file_shares")
            comment = first_text(object_of(file.get("initial_comment")).get("comment"))
            data = {"file_id": self.uuid(file), **message, "file_comment": comment}
            pair, moment = f"{data['message_id']}/{data['file_id']}", Moment(at.us, at.step + index)
            yield self._writer.write("file.shared", pair, moment, data, tag="")

    def _data(self, file: Mapping[str, Any], uploader: str, place: str) -> dict[str, Any]:
        name = first_text(file.get("name"), file.get("title")) or file["id"]
        size = file.get("size")
        if file.get("mode") in _HIDDEN or file.get("file_access") in _HIDDEN:
            self._writer.report.odd("file_hidden", f"{place} {file['id']}")
        elif file.get("mode") != "tombstone" and not (isinstance(size, int) and text_of(file.get("mimetype"))):
            self._writer.report.odd("file_without_size_or_type", f"{place} {file['id']}")
        address = first_text(file.get("url_private"), file.get("permalink")) or file["id"]
        return {
            "file_id": self.uuid(file),
            "workspace_id": self._ids.workspace,
            "uploader_id": uploader,
            "filename": first_text(file.get("title")) or name,
            "original_filename": name,
            "file_size": size if isinstance(size, int) and 0 <= size <= SIZE_MAX else 0,
            "mime_type": first_text(file.get("mimetype")) or "application/octet-stream",
            # Not a hash of the content, which is not there; it is equal for the same file of the same team.
            "file_hash": f"slack:{self._team}:{file['id']}",
            "storage_provider": first_text(file.get("external_type")) or "slack",
            "storage_bucket": self._team,
            "storage_key": address.partition("?")[0],
            "is_public": file.get("is_public") is True,
            "tags": [],
        }
