-- Texts have no length limit in the contract (ruling 83), entries of an index have one: 2,704 bytes in a btree, 1 MiB
-- in a text vector. Each index here held such a text as it is, so a legal event became a dead letter.

-- A long emoji stands in the key by its digest. Two of one user's on one message would have to collide.
ALTER TABLE collab.message_reactions
    ADD COLUMN emoji_key text NOT NULL
        GENERATED ALWAYS AS (CASE WHEN octet_length(emoji) > 1000 THEN md5(emoji) ELSE emoji END) STORED,
    DROP CONSTRAINT message_reactions_pkey;
ALTER TABLE collab.message_reactions
    ADD CONSTRAINT message_reactions_pkey PRIMARY KEY (message_id, user_id, emoji_key);
COMMENT ON COLUMN collab.message_reactions.emoji_key IS 'The emoji, or the MD5 of one that is too long for a key.';

-- Only equality is asked of these two, and a hash index holds four bytes of whatever it is.
DROP INDEX collab.users_email_lower, collab.users_username_lower;
CREATE INDEX users_email_lower ON collab.users USING hash (lower(email));
CREATE INDEX users_username_lower ON collab.users USING hash (lower(username));

-- Names that fit are covered; every channel is found by its workspace.
DROP INDEX collab.channels_workspace;
CREATE INDEX channels_workspace ON collab.channels (workspace_id) INCLUDE (name, channel_type)
    WHERE octet_length(name) <= 1000;
CREATE INDEX channels_in_workspace ON collab.channels (workspace_id);

-- So many characters always fit, whatever they are; what stands behind them is found by Elasticsearch.
DROP INDEX collab.files_text;
CREATE INDEX files_text ON collab.files USING gin
    (to_tsvector('english', left(coalesce(filename, '') || ' ' || coalesce(extracted_text, ''), 65536)));

CREATE OR REPLACE VIEW collab.reactions AS
SELECT r.message_id, r.user_id, r.emoji, r.channel_id, r.message_created_at, r.added_at
FROM collab.message_reactions r
JOIN (
    SELECT message_id, created_at, is_deleted FROM collab.messages
    UNION ALL
    SELECT message_id, created_at, is_deleted FROM collab.messages_archive
) m ON m.message_id = r.message_id AND m.created_at = r.message_created_at
WHERE r.is_active AND NOT m.is_deleted
  AND NOT EXISTS (SELECT FROM collab.users u WHERE u.user_id = r.user_id AND u.erased_at IS NOT NULL);
