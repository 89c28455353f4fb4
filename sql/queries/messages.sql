-- name: known_ids
SELECT message_id, canonical_id, channel_id, created_at, posted_at, log_offset, parent_id
FROM runtime.message_ids WHERE message_id = ANY ($1::uuid[])

-- name: known_ids_and_edges
-- Which of the ids were posted, and which replies wait for any of them: (parent, child, no channel). One statement,
-- as it is dearer to send thousands of ids twice than to find them.
SELECT message_id, canonical_id, channel_id, created_at, posted_at, log_offset, parent_id
FROM runtime.message_ids WHERE message_id = ANY ($1::uuid[])
UNION ALL
SELECT parent_id, child_id, NULL, NULL, NULL, NULL, NULL
FROM runtime.thread_edges WHERE parent_id = ANY ($1::uuid[])

-- name: known_clients
SELECT message_id, channel_id, created_at, posted_at, log_offset, parent_id, client_key
FROM runtime.message_ids WHERE client_key = ANY ($1::uuid[]) AND canonical_id IS NULL
ORDER BY log_offset

-- name: erased_users
SELECT user_id, erased_at FROM collab.users WHERE erased_at IS NOT NULL AND user_id = ANY ($1::uuid[])

-- name: load_messages
SELECT m.message_id, m.created_at, m.channel_id, m.user_id, m.content, m.formatted_content, m.thread_id, m.is_pinned,
       m.is_deleted, m.deleted_at, m.mentions, m.edited_at, m.edit_count, m.edit_history, m.updated_at, m.posted_at,
       m.posted_sequence, m.posted_event, m.registers
FROM unnest($1::uuid[], $2::timestamptz[]) AS k (message_id, created_at)
JOIN collab.messages m ON m.message_id = k.message_id AND m.created_at = k.created_at

-- name: update_messages
UPDATE collab.messages m
SET content = e.content, formatted_content = e.formatted_content, is_pinned = e.is_pinned, is_deleted = e.is_deleted,
    deleted_at = e.deleted_at, mentions = e.mentions, edited_at = e.edited_at, edit_count = e.edit_count,
    edit_history = e.edit_history, updated_at = e.updated_at, thread_id = e.thread_id, registers = e.registers,
    doc_version = m.doc_version + 1
FROM json_populate_recordset(NULL::collab.messages, $1::json) AS e
WHERE m.message_id = e.message_id AND m.created_at = e.created_at

-- name: has_archive
SELECT EXISTS (SELECT FROM collab.messages_archive)

-- name: make_text_vector
-- Fails with program_limit_exceeded for a text that the index of collab.messages cannot hold.
SELECT length(to_tsvector('english', $1))

-- name: ensure_archive_months
SELECT runtime.ensure_month($1::text::regclass, month) FROM unnest($2::date[]) AS m (month) ORDER BY month

-- name: write_edited_at
UPDATE collab.messages m SET edited_at = k.edited_at::timestamptz
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS k (message_id, created_at, edited_at)
WHERE m.message_id = k.message_id AND m.created_at = k.created_at

-- name: archive_messages
WITH moved AS (
    DELETE FROM collab.messages m
    USING unnest($1::uuid[], $2::timestamptz[]) AS k (message_id, created_at)
    WHERE m.message_id = k.message_id AND m.created_at = k.created_at
    RETURNING m.*
)
INSERT INTO collab.messages_archive SELECT * FROM moved

-- name: add_edges
INSERT INTO runtime.thread_edges (parent_id, child_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING

-- name: thread_component
-- Every reply below the seeds, along the edges that can still change, and everything above those.
WITH RECURSIVE below AS (
    SELECT seed AS message_id FROM unnest($1::uuid[]) AS s (seed)
    UNION
    SELECT e.child_id FROM below b JOIN runtime.thread_edges e ON e.parent_id = b.message_id
), around AS (
    SELECT message_id FROM below
    UNION
    SELECT unnest(ARRAY [i.parent_id, i.canonical_id])
    FROM around a JOIN runtime.message_ids i ON i.message_id = a.message_id
)
SELECT i.message_id, i.canonical_id, i.channel_id, i.created_at, i.posted_at, i.log_offset, i.parent_id,
       EXISTS (SELECT FROM below b WHERE b.message_id = i.message_id) AS is_below
FROM around a JOIN runtime.message_ids i ON i.message_id = a.message_id

-- name: recount_replies
-- LATERAL, not GROUP BY joined back: the latter keeps a quadratic plan from when the tables were empty.
UPDATE collab.messages m SET reply_count = c.n, last_reply_at = c.last, doc_version = m.doc_version + 1
FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS r (message_id, created_at, channel_id),
LATERAL (
    SELECT sum(n)::int AS n, max(last) AS last
    FROM (
        SELECT count(*) AS n, max(x.created_at) AS last FROM collab.messages x
        WHERE x.channel_id = r.channel_id AND x.thread_id = r.message_id AND NOT x.is_deleted
        UNION ALL
        SELECT count(*), max(x.created_at) FROM collab.messages_archive x
        WHERE x.channel_id = r.channel_id AND x.thread_id = r.message_id AND NOT x.is_deleted
    ) AS both_tables
) AS c
WHERE m.message_id = r.message_id AND m.created_at = r.created_at
  AND (m.reply_count, m.last_reply_at) IS DISTINCT FROM (c.n, c.last)

-- name: merge_reactions
-- Rule R; the earliest add is kept even from an event that is stale (rule A). Returns what changed: which messages to
-- recompute, and where the earliest add stood before (the CTE `old` still sees the rows as they were).
WITH new AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::bool[],
                         $8::timestamptz[], $9::bigint[], $10::uuid[])
        AS n (message_id, user_id, emoji, channel_id, message_created_at, added_at, is_active, first_added_at, sequence, event_id)
), old AS MATERIALIZED (
    SELECT r.message_id, r.user_id, r.emoji, r.first_added_at
    FROM new n JOIN collab.message_reactions r USING (message_id, user_id, emoji)
), merged AS (
    INSERT INTO collab.message_reactions AS r
        (message_id, user_id, emoji, channel_id, message_created_at, added_at, is_active, first_added_at, sequence, event_id)
    SELECT * FROM new
    ON CONFLICT (message_id, user_id, emoji_key) DO UPDATE SET
        added_at = CASE WHEN (excluded.sequence, excluded.event_id) > (r.sequence, r.event_id) THEN excluded.added_at ELSE r.added_at END,
        is_active = CASE WHEN (excluded.sequence, excluded.event_id) > (r.sequence, r.event_id) THEN excluded.is_active ELSE r.is_active END,
        first_added_at = least(r.first_added_at, excluded.first_added_at),
        sequence = greatest(r.sequence, excluded.sequence),
        event_id = CASE WHEN (excluded.sequence, excluded.event_id) > (r.sequence, r.event_id) THEN excluded.event_id ELSE r.event_id END
    WHERE (excluded.sequence, excluded.event_id) > (r.sequence, r.event_id)
       OR excluded.first_added_at < coalesce(r.first_added_at, 'infinity')
    RETURNING message_id, message_created_at, user_id, emoji, first_added_at
)
SELECT m.message_id, m.message_created_at, m.user_id, m.emoji, m.first_added_at, o.first_added_at AS before
FROM merged m LEFT JOIN old o USING (message_id, user_id, emoji)

-- name: recompute_reactions
UPDATE collab.messages m SET reactions = c.reactions, doc_version = m.doc_version + 1
FROM (SELECT DISTINCT message_id, created_at FROM unnest($1::uuid[], $2::timestamptz[]) AS k (message_id, created_at)) AS k,
LATERAL (
    SELECT coalesce(jsonb_object_agg(emoji, users), '{}') AS reactions
    FROM (
        SELECT r.emoji, jsonb_agg(r.user_id ORDER BY r.sequence, r.event_id) AS users
        FROM collab.message_reactions r
        WHERE r.message_id = k.message_id AND r.is_active
          AND NOT EXISTS (SELECT FROM collab.users u WHERE u.user_id = r.user_id AND u.erased_at IS NOT NULL)
        GROUP BY r.emoji
    ) AS by_emoji
) AS c
WHERE m.message_id = k.message_id AND m.created_at = k.created_at AND m.reactions IS DISTINCT FROM c.reactions

-- name: put_pins
INSERT INTO collab.channel_pins AS p (channel_id, message_id, pinned_by, pinned_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS n (channel_id, message_id, pinned_by, pinned_at)
ORDER BY channel_id, message_id
ON CONFLICT (channel_id, message_id) DO UPDATE SET pinned_by = excluded.pinned_by, pinned_at = excluded.pinned_at
WHERE (p.pinned_by, p.pinned_at) IS DISTINCT FROM (excluded.pinned_by, excluded.pinned_at)

-- name: drop_pins
DELETE FROM collab.channel_pins p USING unnest($1::uuid[], $2::uuid[]) AS k (channel_id, message_id)
WHERE p.channel_id = k.channel_id AND p.message_id = k.message_id

-- name: raise_last_message
UPDATE collab.channels c SET last_message_at = n.newest
FROM unnest($1::uuid[], $2::timestamptz[]) AS n (channel_id, newest)
WHERE c.channel_id = n.channel_id AND (c.last_message_at IS NULL OR c.last_message_at < n.newest)

-- name: recount_last_message
UPDATE collab.channels c SET last_message_at = l.newest
FROM unnest($1::uuid[]) AS k (channel_id),
LATERAL (
    SELECT max(created_at) AS newest FROM (
        (SELECT created_at FROM collab.messages
         WHERE channel_id = k.channel_id AND NOT is_deleted ORDER BY created_at DESC LIMIT 1)
        UNION ALL
        (SELECT created_at FROM collab.messages_archive
         WHERE channel_id = k.channel_id AND NOT is_deleted ORDER BY created_at DESC LIMIT 1)
    ) AS first
) AS l
WHERE c.channel_id = k.channel_id AND c.last_message_at IS DISTINCT FROM l.newest

-- name: refresh_has_files
UPDATE collab.messages m SET has_files = c.has_files, doc_version = m.doc_version + 1
FROM unnest($1::uuid[]) AS k (message_id)
JOIN runtime.message_ids i ON i.message_id = k.message_id,
LATERAL (
    SELECT EXISTS (
        SELECT FROM collab.message_files s
        JOIN collab.files f ON f.workspace_id = s.workspace_id AND f.file_id = s.file_id
        WHERE s.message_id = k.message_id AND f.deleted_at IS NULL AND f.virus_scan_status IS DISTINCT FROM 'infected'
    ) AS has_files
) AS c
WHERE m.message_id = i.message_id AND m.created_at = i.created_at AND m.has_files IS DISTINCT FROM c.has_files
