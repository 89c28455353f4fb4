-- Fails where a text that is too long for the indexes as they were has been stored meanwhile; it would have to go first.
CREATE OR REPLACE VIEW collab.reactions AS
SELECT r.message_id, r.user_id, r.emoji, r.channel_id, r.message_created_at, r.added_at
FROM collab.message_reactions r
JOIN collab.messages m ON m.message_id = r.message_id AND m.created_at = r.message_created_at
WHERE r.is_active AND NOT m.is_deleted
  AND NOT EXISTS (SELECT FROM collab.users u WHERE u.user_id = r.user_id AND u.erased_at IS NOT NULL);

DROP INDEX collab.files_text;
CREATE INDEX files_text ON collab.files
    USING gin (to_tsvector('english', coalesce(filename, '') || ' ' || coalesce(extracted_text, '')));

DROP INDEX collab.channels_in_workspace, collab.channels_workspace;
CREATE INDEX channels_workspace ON collab.channels (workspace_id) INCLUDE (name, channel_type);

DROP INDEX collab.users_email_lower, collab.users_username_lower;
CREATE INDEX users_email_lower ON collab.users (lower(email));
CREATE INDEX users_username_lower ON collab.users (lower(username));

ALTER TABLE collab.message_reactions DROP CONSTRAINT message_reactions_pkey, DROP COLUMN emoji_key;
ALTER TABLE collab.message_reactions ADD CONSTRAINT message_reactions_pkey PRIMARY KEY (message_id, user_id, emoji);
