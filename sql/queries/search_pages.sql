-- Ids of the documents that a job goes through, a page at a time. `after` is the key behind which the next page begins.
-- Messages are those of both tables (ruling 38). One that is put into the archive meanwhile keeps its place in the order.
-- WITH TIES: messages of one moment are on one page, so the next may begin strictly before it.

-- name: members_of_user_page
SELECT workspace_id::text, user_id::text, ARRAY [workspace_id::text] AS after
FROM collab.workspace_members WHERE user_id = $1 AND workspace_id > $2::text::uuid ORDER BY workspace_id LIMIT $3

-- name: workspace_of_user_next
-- One at a time along the index: the user's messages of all workspaces have no common order that an index gives.
SELECT least(
    (SELECT workspace_id FROM collab.messages WHERE user_id = $1 AND workspace_id > $2::text::uuid
     ORDER BY workspace_id LIMIT 1),
    (SELECT workspace_id FROM collab.messages_archive WHERE user_id = $1 AND workspace_id > $2::text::uuid
     ORDER BY workspace_id LIMIT 1)
)::text

-- name: messages_of_user_page
SELECT message_id::text, ARRAY [created_at::text] AS after FROM (
    (SELECT message_id, created_at FROM collab.messages
     WHERE user_id = $1 AND workspace_id = $2::text::uuid AND created_at < $3::text::timestamptz
     ORDER BY created_at DESC FETCH FIRST $4 ROWS WITH TIES)
    UNION ALL
    (SELECT message_id, created_at FROM collab.messages_archive
     WHERE user_id = $1 AND workspace_id = $2::text::uuid AND created_at < $3::text::timestamptz
     ORDER BY created_at DESC FETCH FIRST $4 ROWS WITH TIES)
) AS m ORDER BY created_at DESC FETCH FIRST $4 ROWS WITH TIES

-- name: files_of_user_page
SELECT workspace_id::text, file_id::text, ARRAY [file_id::text] AS after
FROM collab.files WHERE uploader_id = $1 AND file_id > $2::text::uuid ORDER BY file_id LIMIT $3

-- name: messages_reacted_by_user_page
-- Only the end of a user changes what others' messages count. The index gives all of the user's reactions at each page.
SELECT message_id::text, ARRAY [message_id::text] AS after FROM (
    SELECT DISTINCT r.message_id FROM collab.message_reactions r
    WHERE r.user_id = $1 AND r.message_id > $2::text::uuid
      AND EXISTS (SELECT FROM collab.users u WHERE u.user_id = $1 AND u.erased_at IS NOT NULL)
    ORDER BY r.message_id LIMIT $3
) AS m

-- name: messages_with_files_of_user_page
SELECT message_id::text, ARRAY [message_id::text] AS after FROM (
    SELECT DISTINCT s.message_id FROM collab.files f JOIN collab.message_files s ON s.file_id = f.file_id
    WHERE f.uploader_id = $1 AND s.message_id > $2::text::uuid
      AND EXISTS (SELECT FROM collab.users u WHERE u.user_id = $1 AND u.erased_at IS NOT NULL)
    ORDER BY s.message_id LIMIT $3
) AS m

-- name: messages_of_channel_page
SELECT message_id::text, ARRAY [created_at::text] AS after FROM (
    (SELECT message_id, created_at FROM collab.messages
     WHERE channel_id = $1 AND created_at < $2::text::timestamptz
     ORDER BY created_at DESC FETCH FIRST $3 ROWS WITH TIES)
    UNION ALL
    (SELECT message_id, created_at FROM collab.messages_archive
     WHERE channel_id = $1 AND created_at < $2::text::timestamptz
     ORDER BY created_at DESC FETCH FIRST $3 ROWS WITH TIES)
) AS m ORDER BY created_at DESC FETCH FIRST $3 ROWS WITH TIES

-- name: members_of_workspace_page
SELECT workspace_id::text, user_id::text, ARRAY [user_id::text] AS after
FROM collab.workspace_members WHERE workspace_id = $1 AND user_id > $2::text::uuid ORDER BY user_id LIMIT $3

-- name: files_of_workspace_page
SELECT workspace_id::text, file_id::text, ARRAY [file_id::text] AS after
FROM collab.files WHERE workspace_id = $1 AND file_id > $2::text::uuid ORDER BY file_id LIMIT $3

-- name: channel_of_workspace_next
-- One at a time along two indices: channels by their own row, and by the messages counted in them, for a message may
-- come before its channel.
SELECT least(
    (SELECT channel_id FROM collab.channels WHERE workspace_id = $1 AND channel_id > $2::text::uuid
     ORDER BY channel_id LIMIT 1),
    (SELECT channel_id FROM analytics.message_analytics WHERE workspace_id = $1 AND channel_id > $2::text::uuid
     ORDER BY channel_id LIMIT 1)
)::text

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

-- How many documents a job will go through, roughly; counting takes a hundredth of the time that writing them does.

-- name: estimate_user
SELECT (SELECT count(*) FROM collab.messages WHERE user_id = $1)
     + (SELECT count(*) FROM collab.messages_archive WHERE user_id = $1)
     + (SELECT count(*) FROM collab.files WHERE uploader_id = $1)
     + (SELECT count(*) FROM collab.workspace_members WHERE user_id = $1)

-- name: estimate_channel
SELECT (SELECT count(*) FROM collab.messages WHERE channel_id = $1)
     + (SELECT count(*) FROM collab.messages_archive WHERE channel_id = $1)

-- name: estimate_workspace
SELECT (SELECT coalesce(sum(message_count), 0) FROM analytics.message_analytics WHERE workspace_id = $1)::bigint
     + (SELECT count(*) FROM collab.files WHERE workspace_id = $1)
     + (SELECT count(*) FROM collab.workspace_members WHERE workspace_id = $1)

-- name: estimate_move
SELECT coalesce(sum(message_count), 0)::bigint FROM analytics.message_analytics WHERE workspace_id = $1

-- name: estimate_messages
SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = 'runtime.message_ids'::regclass

-- name: estimate_files
SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = 'collab.files'::regclass

-- name: estimate_users
SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = 'collab.workspace_members'::regclass
