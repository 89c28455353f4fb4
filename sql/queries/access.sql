-- What somebody may search, as it is now.

-- name: searcher
SELECT w.deleted_at IS NULL AND u.erased_at IS NULL AND coalesce(u.status, 'active') = 'active' AS may_search,
       m.status, m.role, coalesce(m.timezone, u.timezone, 'UTC') AS timezone
FROM (SELECT $1::uuid AS workspace_id, $2::uuid AS user_id) AS k
LEFT JOIN collab.workspaces w ON w.workspace_id = k.workspace_id
LEFT JOIN collab.users u ON u.user_id = k.user_id
LEFT JOIN collab.workspace_members m ON m.workspace_id = k.workspace_id AND m.user_id = k.user_id

-- name: searchable_channels
-- Public ones of the workspace ($3: guests see none of them as such), and those of which they are active members.
SELECT c.channel_id::text FROM collab.channels c
WHERE $3 AND c.workspace_id = $1 AND c.channel_type = 'public' AND c.deleted_at IS NULL
UNION
SELECT m.channel_id::text FROM collab.channel_members m
LEFT JOIN collab.channels c ON c.channel_id = m.channel_id
WHERE m.user_id = $2 AND m.is_active AND coalesce(c.workspace_id, m.workspace_id) = $1 AND c.deleted_at IS NULL

-- name: companions
-- Active members of these channels.
SELECT DISTINCT o.user_id::text FROM collab.channel_members o
WHERE o.channel_id = ANY ($1::uuid[]) AND o.is_active
LIMIT $2

-- name: people_called
-- Members of the workspace, former ones too, by id, username or display name.
SELECT u.user_id::text FROM collab.users u
JOIN collab.workspace_members m ON m.user_id = u.user_id AND m.workspace_id = $1
WHERE u.erased_at IS NULL
  AND (lower(u.username) = lower($2) OR lower(u.display_name) = lower($2) OR u.user_id::text = lower($2))
LIMIT 100

-- name: usernames_like
SELECT u.username FROM collab.users u
JOIN collab.workspace_members m ON m.user_id = u.user_id AND m.workspace_id = $1 AND m.status = 'active'
WHERE u.erased_at IS NULL AND u.username IS NOT NULL AND left(lower(u.username), 1) = left(lower($2), 1)
ORDER BY u.username LIMIT 500

-- name: channels_named
SELECT c.channel_id::text, c.name FROM collab.channels c WHERE c.channel_id = ANY ($1::uuid[]) AND c.deleted_at IS NULL

-- name: still_visible
SELECT i.message_id::text
FROM runtime.message_ids i
CROSS JOIN LATERAL (
    SELECT m.is_deleted FROM collab.messages m WHERE m.message_id = i.message_id AND m.created_at = i.created_at
    UNION ALL
    SELECT a.is_deleted FROM collab.messages_archive a WHERE a.message_id = i.message_id AND a.created_at = i.created_at
    LIMIT 1
) AS m
WHERE i.message_id = ANY ($1::uuid[]) AND NOT m.is_deleted

-- name: still_files
-- Live ones that the user ($3) uploaded, or that a visible message in one of these channels ($4) shares.
SELECT f.file_id::text FROM collab.files f
WHERE f.workspace_id = $1 AND f.file_id = ANY ($2::uuid[]) AND f.deleted_at IS NULL
  AND f.virus_scan_status IS DISTINCT FROM 'infected' AND (f.expires_at IS NULL OR f.expires_at > now())
  AND (f.uploader_id = $3 OR EXISTS (
      SELECT FROM collab.message_files s
      JOIN runtime.message_ids i ON i.message_id = s.message_id
      CROSS JOIN LATERAL (
          SELECT m.is_deleted FROM collab.messages m WHERE m.message_id = i.message_id AND m.created_at = i.created_at
          UNION ALL
          SELECT a.is_deleted FROM collab.messages_archive a
          WHERE a.message_id = i.message_id AND a.created_at = i.created_at
          LIMIT 1
      ) AS m
      WHERE s.file_id = f.file_id AND s.channel_id = ANY ($4::uuid[]) AND NOT m.is_deleted
  ))

-- name: still_members
SELECT m.user_id::text FROM collab.workspace_members m
WHERE m.workspace_id = $1 AND m.user_id = ANY ($2::uuid[]) AND m.status = 'active'

-- name: workspace_called
SELECT workspace_id::text FROM collab.workspaces
WHERE workspace_id::text = lower($1) OR (deleted_at IS NULL AND lower(slug) = lower($1)) LIMIT 2

-- name: user_called
SELECT user_id::text FROM collab.users
WHERE user_id::text = lower($1)
   OR (erased_at IS NULL AND (lower(username) = lower($1) OR lower(email) = lower($1))) LIMIT 2
