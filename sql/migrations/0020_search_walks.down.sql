DROP TRIGGER note_name_change ON collab.channels;
DROP TRIGGER note_first_name ON collab.channels;
DROP TRIGGER note_name_change ON collab.users;
DROP TRIGGER note_first_name ON collab.users;
DROP FUNCTION runtime.note_name_change();
DROP TABLE runtime.name_changes;
DROP INDEX collab.channels_in_workspace, collab.messages_archive_user;
CREATE INDEX channels_in_workspace ON collab.channels (workspace_id);
