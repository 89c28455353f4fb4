-- Whole search documents with their versions, and which of them a change makes dirty.
--
-- A version is a sum of versions that only rise, each read in the same statement as what it stands for
-- (docs/adr/0009-stamps.md). `body` is null for what must not be found: a tombstone is written instead. Only nested
-- loops over keys: `lateral … limit 1` keeps the planner from reading every partition into a hash.

-- name: message_documents
-- $1 ids, aliases included, as text: the driver takes longer over an array of uuids than over all else. An id that was
-- never posted gives no row.
SELECT m.message_id::text AS id, m.workspace_id::text AS workspace_id, m.created_at,
       m.doc_version + coalesce(u.doc_version, 0) + coalesce(c.doc_version, 0) + coalesce(w.doc_version, 0) AS version,
       CASE WHEN NOT m.is_deleted AND c.deleted_at IS NULL AND w.deleted_at IS NULL THEN (
           SELECT row_to_json(d) FROM (
               SELECT m.message_id, m.workspace_id, m.channel_id, m.user_id, u.username, u.display_name,
                      c.name AS channel_name, m.message_type, m.thread_id, m.content, m.mentions, m.has_files,
                      CASE WHEN m.reactions = '{}' THEN 0
                           ELSE (SELECT sum(jsonb_array_length(r.value)) FROM jsonb_each(m.reactions) r) END
                          AS reaction_count,
                      to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
                      to_char(m.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS updated_at
           ) AS d)::text
       END AS body
FROM (
    SELECT DISTINCT coalesce(c.message_id, i.message_id) AS message_id, coalesce(c.created_at, i.created_at) AS created_at
    FROM unnest($1::text::uuid[]) AS k (id)
    JOIN runtime.message_ids i ON i.message_id = k.id
    LEFT JOIN runtime.message_ids c ON c.message_id = i.canonical_id
) AS i
CROSS JOIN LATERAL (
    SELECT * FROM collab.messages m WHERE m.message_id = i.message_id AND m.created_at = i.created_at
    UNION ALL
    SELECT * FROM collab.messages_archive a WHERE a.message_id = i.message_id AND a.created_at = i.created_at
    LIMIT 1
) AS m
LEFT JOIN collab.users u ON u.user_id = m.user_id
LEFT JOIN collab.channels c ON c.channel_id = m.channel_id
LEFT JOIN collab.workspaces w ON w.workspace_id = m.workspace_id

-- name: file_documents
-- $1 workspaces, $2 files. Not of the contract: `expires_at`, from which moment on the alias hides the file, and
-- `filename_words`, because to the standard analyzer q3_report.pdf is one word.
SELECT f.file_id::text AS id, f.workspace_id::text AS workspace_id, f.created_at,
       f.doc_version + coalesce(v.version, 0) + coalesce(u.doc_version, 0) + coalesce(w.doc_version, 0) AS version,
       CASE WHEN f.deleted_at IS NULL AND f.virus_scan_status IS DISTINCT FROM 'infected' AND w.deleted_at IS NULL THEN (
           SELECT row_to_json(d) FROM (
               SELECT f.file_id, f.workspace_id, f.mime_type, f.uploader_id, u.display_name AS uploader_name, f.filename,
                      regexp_replace(f.filename, '[^[:alnum:]]+', ' ', 'g') AS filename_words,
                      ARRAY (
                          SELECT DISTINCT s.channel_id
                          FROM collab.message_files s
                          JOIN runtime.message_ids i ON i.message_id = s.message_id
                          CROSS JOIN LATERAL (
                              SELECT x.is_deleted FROM collab.messages x
                              WHERE x.message_id = i.message_id AND x.created_at = i.created_at
                              UNION ALL
                              SELECT x.is_deleted FROM collab.messages_archive x
                              WHERE x.message_id = i.message_id AND x.created_at = i.created_at
                              LIMIT 1
                          ) AS m
                          WHERE s.file_id = f.file_id AND NOT m.is_deleted
                          ORDER BY s.channel_id
                      ) AS channel_ids,
                      f.tags, f.extracted_text, f.file_size,
                      to_char(f.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
                      to_char(f.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS expires_at
           ) AS d)::text
       END AS body
FROM unnest($1::uuid[], $2::uuid[]) AS k (workspace_id, file_id)
JOIN collab.files f ON f.workspace_id = k.workspace_id AND f.file_id = k.file_id
LEFT JOIN runtime.file_versions v ON v.file_id = f.file_id
LEFT JOIN collab.users u ON u.user_id = f.uploader_id
LEFT JOIN collab.workspaces w ON w.workspace_id = f.workspace_id

-- name: member_documents
-- $1 workspaces, $2 users: one document for each membership (ruling 67).
SELECT m.workspace_id::text || ':' || m.user_id::text AS id, m.workspace_id::text AS workspace_id,
       NULL::timestamptz AS created_at,
       m.doc_version + coalesce(u.doc_version, 0) + coalesce(w.doc_version, 0) AS version,
       CASE WHEN m.status = 'active' AND u.registers -> 'profile' IS NOT NULL AND u.erased_at IS NULL
                 AND w.deleted_at IS NULL THEN (
           SELECT row_to_json(d) FROM (
               SELECT m.user_id, m.workspace_id, u.username, u.email, m.department, u.status, u.display_name,
                      coalesce(m.title, u.title) AS title, u.bio,
                      to_char(m.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last_active
           ) AS d)::text
       END AS body
FROM unnest($1::uuid[], $2::uuid[]) AS k (workspace_id, user_id)
JOIN collab.workspace_members m ON m.workspace_id = k.workspace_id AND m.user_id = k.user_id
LEFT JOIN collab.users u ON u.user_id = m.user_id
LEFT JOIN collab.workspaces w ON w.workspace_id = m.workspace_id

-- name: replies_below
-- Replies whose root may have changed with these postings.
WITH RECURSIVE below AS (
    SELECT e.child_id AS message_id
    FROM unnest($1::text::uuid[]) AS s (seed) JOIN runtime.thread_edges e ON e.parent_id = s.seed
    UNION
    SELECT e.child_id FROM below b JOIN runtime.thread_edges e ON e.parent_id = b.message_id
)
SELECT message_id::text FROM below

-- name: files_of_messages
SELECT DISTINCT s.workspace_id::text, s.file_id::text
FROM unnest($1::text::uuid[]) AS k (id)
JOIN runtime.message_ids i ON i.message_id = k.id
JOIN collab.message_files s ON s.message_id = coalesce(i.canonical_id, i.message_id)

-- name: messages_of_files
SELECT DISTINCT s.message_id::text FROM collab.message_files s WHERE s.file_id = ANY ($1::uuid[])

-- name: files_of_uploaders
-- Of each at most $2, as everywhere below; one more than may be done at once says that there are too many.
SELECT k.user_id::text AS subject, f.workspace_id::text, f.file_id::text
FROM unnest($1::uuid[]) AS k (user_id)
CROSS JOIN LATERAL (SELECT x.workspace_id, x.file_id FROM collab.files x WHERE x.uploader_id = k.user_id LIMIT $2) AS f

-- name: memberships_of_users
SELECT k.user_id::text AS subject, m.workspace_id::text
FROM unnest($1::uuid[]) AS k (user_id)
CROSS JOIN LATERAL (SELECT x.workspace_id FROM collab.workspace_members x WHERE x.user_id = k.user_id LIMIT $2) AS m

-- name: members_of_sessions
SELECT workspace_id::text, user_id::text FROM collab.sessions
WHERE session_id = ANY ($1::uuid[]) AND workspace_id IS NOT NULL AND user_id IS NOT NULL

-- name: messages_of_users
-- At most so many, and as many archived ones.
SELECT k.user_id::text AS subject, m.message_id::text, i.log_offset
FROM unnest($1::uuid[]) AS k (user_id)
CROSS JOIN LATERAL (
    (SELECT x.message_id FROM collab.messages x WHERE x.user_id = k.user_id LIMIT $2)
    UNION ALL
    (SELECT x.message_id FROM collab.messages_archive x WHERE x.user_id = k.user_id LIMIT $2)
) AS m
JOIN runtime.message_ids i ON i.message_id = m.message_id

-- name: messages_of_channels
SELECT k.channel_id::text AS subject, m.message_id::text, i.log_offset
FROM unnest($1::uuid[]) AS k (channel_id)
CROSS JOIN LATERAL (
    (SELECT x.message_id FROM collab.messages x WHERE x.channel_id = k.channel_id LIMIT $2)
    UNION ALL
    (SELECT x.message_id FROM collab.messages_archive x WHERE x.channel_id = k.channel_id LIMIT $2)
) AS m
JOIN runtime.message_ids i ON i.message_id = m.message_id

-- name: messages_reacted_by_users
SELECT k.user_id::text AS subject, r.message_id::text
FROM unnest($1::uuid[]) AS k (user_id)
CROSS JOIN LATERAL (SELECT x.message_id FROM collab.message_reactions x WHERE x.user_id = k.user_id LIMIT $2) AS r

-- name: last_name_changes
SELECT subject::text, event_id FROM runtime.name_changes WHERE kind = $1 AND subject = ANY ($2::uuid[])

-- name: member_counts
SELECT w.workspace_id::text, w.member_count, w.deleted_at IS NULL AS exists,
       coalesce(r.route, 'shared') AS route, r.moving_to, coalesce(r.is_high_volume, false) AS is_high_volume
FROM collab.workspaces w LEFT JOIN runtime.search_routes r ON r.workspace_id = w.workspace_id
WHERE w.workspace_id = ANY ($1::uuid[])
