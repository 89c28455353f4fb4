-- Ids of the documents that a job goes through, a page at a time. `after` is the key behind which the next page begins.

-- name: members_of_user_page
SELECT workspace_id::text, user_id::text, ARRAY [workspace_id::text] AS after
FROM collab.workspace_members WHERE user_id = $1 AND workspace_id > $2::text::uuid ORDER BY workspace_id LIMIT $3

-- name: workspace_of_user_next
-- One at a time along the index: the user's messages of all workspaces have no common order that an index gives.
SELECT workspace_id::text FROM collab.messages WHERE user_id = $1 AND workspace_id > $2::text::uuid
ORDER BY workspace_id LIMIT 1

-- name: messages_of_user_page
-- WITH TIES: messages of one moment are on one page, so the next may begin strictly before it.
SELECT message_id::text, ARRAY [created_at::text] AS after
FROM collab.messages WHERE user_id = $1 AND workspace_id = $2::text::uuid AND created_at < $3::text::timestamptz
ORDER BY created_at DESC FETCH FIRST $4 ROWS WITH TIES

-- name: files_of_user_page
SELECT workspace_id::text, file_id::text, ARRAY [file_id::text] AS after
FROM collab.files WHERE uploader_id = $1 AND file_id > $2::text::uuid ORDER BY file_id LIMIT $3

-- name: messages_reacted_by_user_page
SELECT DISTINCT message_id, message_id::text AS id, ARRAY [message_id::text] AS after
FROM collab.message_reactions WHERE user_id = $1 AND message_id > $2::text::uuid ORDER BY message_id LIMIT $3

-- name: messages_with_files_of_user_page
SELECT DISTINCT s.message_id, s.message_id::text AS id, ARRAY [s.message_id::text] AS after
FROM collab.files f JOIN collab.message_files s ON s.file_id = f.file_id
WHERE f.uploader_id = $1 AND s.message_id > $2::text::uuid ORDER BY s.message_id LIMIT $3

-- name: messages_of_channel_page
SELECT message_id::text, ARRAY [created_at::text] AS after
FROM collab.messages WHERE channel_id = $1 AND created_at < $2::text::timestamptz
ORDER BY created_at DESC FETCH FIRST $3 ROWS WITH TIES

-- name: members_of_workspace_page
SELECT workspace_id::text, user_id::text, ARRAY [user_id::text] AS after
FROM collab.workspace_members WHERE workspace_id = $1 AND user_id > $2::text::uuid ORDER BY user_id LIMIT $3

-- name: files_of_workspace_page
SELECT workspace_id::text, file_id::text, ARRAY [file_id::text] AS after
FROM collab.files WHERE workspace_id = $1 AND file_id > $2::text::uuid ORDER BY file_id LIMIT $3

-- name: channel_of_workspace_next
-- Channels by their own row, by the messages counted in them, and those that nobody has described yet: a message may
-- come before its channel.
SELECT min(c.channel_id::text) FROM (
    SELECT channel_id FROM collab.channels WHERE workspace_id = $1
    UNION SELECT channel_id FROM analytics.message_analytics WHERE workspace_id = $1
    UNION SELECT v.channel_id FROM runtime.channel_versions v
          WHERE NOT EXISTS (SELECT FROM collab.channels k WHERE k.channel_id = v.channel_id)
) AS c WHERE c.channel_id > $2::text::uuid

-- name: messages_of_channel_in_workspace_page
SELECT message_id::text, ARRAY [created_at::text] AS after
FROM collab.messages WHERE workspace_id = $1 AND channel_id = $2::text::uuid AND created_at < $3::text::timestamptz
ORDER BY created_at DESC FETCH FIRST $4 ROWS WITH TIES

-- name: messages_page
SELECT message_id::text, ARRAY [message_id::text] AS after
FROM runtime.message_ids WHERE canonical_id IS NULL AND message_id > $1::text::uuid ORDER BY message_id LIMIT $2

-- name: files_page
SELECT workspace_id::text, file_id::text, ARRAY [workspace_id::text, file_id::text] AS after
FROM collab.files WHERE (workspace_id, file_id) > ($1::text::uuid, $2::text::uuid) ORDER BY workspace_id, file_id LIMIT $3

-- name: members_page
SELECT workspace_id::text, user_id::text, ARRAY [workspace_id::text, user_id::text] AS after
FROM collab.workspace_members WHERE (workspace_id, user_id) > ($1::text::uuid, $2::text::uuid)
ORDER BY workspace_id, user_id LIMIT $3

-- name: count_messages
SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = 'runtime.message_ids'::regclass
