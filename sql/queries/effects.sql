-- name: refresh_workspace_members
-- Whether a workspace membership is active, and when it ended: by its own events, else by the user's erasure, else by
-- the deletion of the workspace (rulings 32 and 35).
UPDATE collab.workspace_members m SET status = c.status, left_at = c.left_at, doc_version = m.doc_version + 1
FROM (SELECT DISTINCT workspace_id, user_id FROM unnest($1::uuid[], $2::uuid[]) AS k (workspace_id, user_id)) AS k,
LATERAL (
    SELECT CASE WHEN o.own_active AND u.erased_at IS NULL AND w.deleted_at IS NULL THEN 'active' ELSE 'deactivated' END AS status,
           CASE WHEN o.own_active THEN coalesce(u.erased_at, w.deleted_at) ELSE o.own_left_at END AS left_at
    FROM collab.workspace_members o
    LEFT JOIN collab.users u ON u.user_id = o.user_id
    LEFT JOIN collab.workspaces w ON w.workspace_id = o.workspace_id
    WHERE o.workspace_id = k.workspace_id AND o.user_id = k.user_id
) AS c
WHERE m.workspace_id = k.workspace_id AND m.user_id = k.user_id
  AND (m.status, m.left_at) IS DISTINCT FROM (c.status, c.left_at)

-- name: refresh_channel_members
-- Rule D: active while its own register says so, the workspace membership is not known to have ended, and it began
-- after the last removal. What ended it: its own leave, the removal, the erasure, the deletion of the workspace.
WITH changed AS (
    UPDATE collab.channel_members m SET is_active = c.is_active, left_at = c.left_at, doc_version = m.doc_version + 1
    FROM (SELECT DISTINCT channel_id, user_id FROM unnest($1::uuid[], $2::uuid[]) AS k (channel_id, user_id)) AS k,
    LATERAL (
        SELECT o.own_active IS TRUE AND d.removed_at IS NULL AND u.erased_at IS NULL AND w.deleted_at IS NULL AS is_active,
               CASE WHEN o.own_active THEN coalesce(d.removed_at, u.erased_at, w.deleted_at) ELSE o.own_left_at END AS left_at
        FROM collab.channel_members o
        LEFT JOIN collab.users u ON u.user_id = o.user_id
        LEFT JOIN collab.workspaces w ON w.workspace_id = o.workspace_id
        LEFT JOIN LATERAL (
            SELECT s.last_removed_at AS removed_at
            FROM collab.workspace_members s
            WHERE s.workspace_id = o.workspace_id AND s.user_id = o.user_id
              AND (NOT s.own_active OR o.joined_at <= s.last_removed_at)
        ) AS d ON true
        WHERE o.channel_id = k.channel_id AND o.user_id = k.user_id
    ) AS c
    WHERE m.channel_id = k.channel_id AND m.user_id = k.user_id
      AND (m.is_active, m.left_at) IS DISTINCT FROM (c.is_active, c.left_at)
    RETURNING m.channel_id
)
SELECT DISTINCT channel_id FROM changed

-- name: channel_memberships_of_members
SELECT m.channel_id, m.user_id
FROM unnest($1::uuid[], $2::uuid[]) AS k (workspace_id, user_id)
JOIN collab.channel_members m ON m.user_id = k.user_id AND m.workspace_id = k.workspace_id

-- name: channel_memberships_of_users
SELECT channel_id, user_id FROM collab.channel_members WHERE user_id = ANY ($1::uuid[])

-- name: channel_memberships_of_workspaces
SELECT m.channel_id, m.user_id
FROM collab.channels c JOIN collab.channel_members m ON m.channel_id = c.channel_id
WHERE c.workspace_id = ANY ($1::uuid[])
UNION
SELECT channel_id, user_id FROM collab.channel_members WHERE workspace_id = ANY ($1::uuid[])

-- name: workspace_memberships_of_users
SELECT workspace_id, user_id FROM collab.workspace_members WHERE user_id = ANY ($1::uuid[])

-- name: workspace_memberships_of_workspaces
SELECT workspace_id, user_id FROM collab.workspace_members WHERE workspace_id = ANY ($1::uuid[])

-- name: recount_workspaces
UPDATE collab.workspaces w SET member_count = c.n
FROM unnest($1::uuid[]) AS k (workspace_id),
LATERAL (
    SELECT count(*)::int AS n FROM collab.workspace_members m
    WHERE m.workspace_id = k.workspace_id AND m.status = 'active'
) AS c
WHERE w.workspace_id = k.workspace_id AND w.member_count <> c.n

-- name: recount_channels
UPDATE collab.channels h SET member_count = c.n
FROM unnest($1::uuid[]) AS k (channel_id),
LATERAL (
    SELECT count(*)::int AS n FROM collab.channel_members m WHERE m.channel_id = k.channel_id AND m.is_active
) AS c
WHERE h.channel_id = k.channel_id AND h.member_count <> c.n

-- name: lock_general
SELECT pg_advisory_xact_lock(hashtextextended('tailrace.general.' || k, 0)) FROM unnest($1::text[]) AS k ORDER BY k

-- name: choose_general
-- Ruling 4: among the channels that claim it and are not deleted, the one with the greatest (sequence, event id).
UPDATE collab.channels h SET is_general = (h.channel_id IS NOT DISTINCT FROM c.chosen)
FROM unnest($1::uuid[]) AS k (workspace_id),
LATERAL (
    SELECT (
        SELECT x.channel_id FROM collab.channels x
        WHERE x.workspace_id = k.workspace_id AND x.claims_general AND x.deleted_at IS NULL
        ORDER BY (x.registers -> 'profile' ->> 0)::bigint DESC, (x.registers -> 'profile' ->> 1) DESC LIMIT 1
    ) AS chosen
) AS c
WHERE h.workspace_id = k.workspace_id AND h.is_general IS DISTINCT FROM (h.channel_id IS NOT DISTINCT FROM c.chosen)

-- name: erase_messages
WITH erased AS (
    UPDATE collab.messages m
    SET content = '', formatted_content = NULL, edit_history = '[]', edit_count = 0, is_deleted = true, is_pinned = false,
        deleted_at = CASE WHEN (m.registers -> 'deleted' ->> 3)::boolean
                          THEN (m.registers -> 'deleted' ->> 2)::timestamptz ELSE e.erased_at END,
        updated_at = greatest(m.posted_at, e.erased_at, (m.registers -> 'edit' ->> 2)::timestamptz,
                              (m.registers -> 'deleted' ->> 2)::timestamptz, (m.registers -> 'pinned' ->> 2)::timestamptz),
        registers = m.registers - 'chain', doc_version = m.doc_version + 1
    FROM unnest($1::uuid[], $2::timestamptz[]) AS e (user_id, erased_at)
    WHERE m.user_id = e.user_id
    RETURNING m.message_id, m.channel_id, m.thread_id
)
SELECT DISTINCT e.message_id, e.channel_id, e.thread_id FROM erased e

-- name: erase_files
UPDATE collab.files f SET deleted_at = coalesce((f.registers -> 'deleted' ->> 2)::timestamptz, e.erased_at), doc_version = f.doc_version + 1
FROM unnest($1::uuid[], $2::timestamptz[]) AS e (user_id, erased_at)
WHERE f.uploader_id = e.user_id
RETURNING f.file_id

-- name: messages_reacted_by
SELECT DISTINCT message_id, message_created_at, channel_id FROM collab.message_reactions WHERE user_id = ANY ($1::uuid[])

-- name: messages_with_files
SELECT DISTINCT message_id FROM collab.message_files WHERE file_id = ANY ($1::uuid[])

-- name: roots
SELECT i.message_id, i.created_at, i.channel_id
FROM runtime.message_ids i WHERE i.message_id = ANY ($1::uuid[]) AND i.canonical_id IS NULL

-- name: add_accesses
WITH added AS (
    INSERT INTO runtime.file_accesses (file_id, event_id)
    SELECT file_id, event_id FROM unnest($2::uuid[], $3::uuid[]) AS a (file_id, event_id)
    ORDER BY file_id, event_id ON CONFLICT DO NOTHING RETURNING file_id
), counted AS (
    SELECT a.workspace_id, a.file_id, max(a.accessed_at) AS last,
           (SELECT count(*) FROM added d WHERE d.file_id = a.file_id)::int AS n
    FROM unnest($1::uuid[], $2::uuid[], $4::timestamptz[]) AS a (workspace_id, file_id, accessed_at)
    GROUP BY a.workspace_id, a.file_id
)
UPDATE collab.files f
SET download_count = f.download_count + c.n, last_accessed_at = greatest(f.last_accessed_at, c.last)
FROM counted c WHERE f.workspace_id = c.workspace_id AND f.file_id = c.file_id

-- name: add_activity
INSERT INTO analytics.events (event_id, created_at, workspace_id, user_id, event_type, metadata)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[])
ON CONFLICT DO NOTHING

-- name: merge_last_seen
WITH seen AS (
    INSERT INTO runtime.last_seen AS s (workspace_id, user_id, last_seen_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS n (workspace_id, user_id, seen_at)
    ORDER BY workspace_id, user_id
    ON CONFLICT (workspace_id, user_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
    WHERE s.last_seen_at < excluded.last_seen_at
    RETURNING workspace_id, user_id, last_seen_at
)
UPDATE collab.workspace_members m SET last_seen_at = s.last_seen_at, doc_version = m.doc_version + 1
FROM seen s WHERE m.workspace_id = s.workspace_id AND m.user_id = s.user_id

-- name: fill_last_seen
UPDATE collab.workspace_members m SET last_seen_at = s.last_seen_at, doc_version = m.doc_version + 1
FROM unnest($1::uuid[], $2::uuid[]) AS k (workspace_id, user_id)
JOIN runtime.last_seen s ON s.workspace_id = k.workspace_id AND s.user_id = k.user_id
WHERE m.workspace_id = k.workspace_id AND m.user_id = k.user_id AND m.last_seen_at IS DISTINCT FROM s.last_seen_at

-- name: couple_shared
-- See docs/adr/0004: transactions of ordinary topics share this lock, those that change rows of other partitions
-- hold it alone.
SELECT pg_advisory_xact_lock_shared(hashtextextended('tailrace.couple.' || $1, 0))

-- name: couple_exclusive
SELECT pg_advisory_xact_lock(hashtextextended('tailrace.couple.' || $1, 0))

-- name: raise_channel_versions
INSERT INTO runtime.channel_versions AS v (channel_id, list_version, members_version)
SELECT channel_id, list_changed::int, members_changed::int
FROM unnest($1::uuid[], $2::bool[], $3::bool[]) AS c (channel_id, list_changed, members_changed)
ON CONFLICT (channel_id) DO UPDATE SET
    list_version = v.list_version + excluded.list_version,
    members_version = v.members_version + excluded.members_version

-- name: channels_of_workspaces
SELECT channel_id FROM collab.channels WHERE workspace_id = ANY ($1::uuid[])

-- name: refresh_notifications
-- A new notification: withdrawn if its message is deleted, read if its reader's position is past it.
UPDATE collab.notifications n SET withdrawn_at = c.withdrawn_at, read_at = c.read_at
FROM unnest($1::uuid[]) AS k (notification_id),
LATERAL (
    SELECT coalesce(x.deleted_at, y.deleted_at) AS withdrawn_at,
           CASE WHEN r.last_read_at >= o.created_at THEN coalesce(o.read_at, r.last_read_at) END AS read_at
    FROM collab.notifications o
    LEFT JOIN runtime.message_ids i ON i.message_id = o.message_id
    LEFT JOIN collab.messages x ON x.message_id = i.message_id AND x.created_at = i.created_at AND x.is_deleted
    LEFT JOIN collab.messages_archive y ON y.message_id = i.message_id AND y.created_at = i.created_at AND y.is_deleted
    LEFT JOIN collab.channel_members r ON r.channel_id = o.channel_id AND r.user_id = o.user_id
    WHERE o.notification_id = k.notification_id
) AS c
WHERE n.notification_id = k.notification_id AND (n.withdrawn_at, n.read_at) IS DISTINCT FROM (c.withdrawn_at, c.read_at)

-- name: read_notifications
-- What a position has passed for the first time is read then, and stays so; what a mark_unread puts behind it is not.
UPDATE collab.notifications n SET read_at = r.last_read_at, doc_version = n.doc_version + 1
FROM unnest($1::uuid[], $2::uuid[]) AS k (channel_id, user_id)
JOIN collab.channel_members r ON r.channel_id = k.channel_id AND r.user_id = k.user_id
WHERE n.channel_id = k.channel_id AND n.user_id = k.user_id AND n.read_at IS NULL AND n.created_at <= r.last_read_at

-- name: unread_notifications
UPDATE collab.notifications n SET read_at = NULL, doc_version = n.doc_version + 1
FROM unnest($1::uuid[], $2::uuid[]) AS k (channel_id, user_id)
JOIN collab.channel_members r ON r.channel_id = k.channel_id AND r.user_id = k.user_id
WHERE n.channel_id = k.channel_id AND n.user_id = k.user_id AND n.read_at IS NOT NULL AND n.created_at > r.last_read_at

-- name: withdraw_notifications
UPDATE collab.notifications n SET withdrawn_at = e.deleted_at, doc_version = n.doc_version + 1
FROM unnest($1::uuid[], $2::timestamptz[]) AS e (message_id, deleted_at)
WHERE n.message_id = e.message_id AND n.withdrawn_at IS DISTINCT FROM e.deleted_at

-- name: withdraw_notifications_of_authors
UPDATE collab.notifications n SET withdrawn_at = e.deleted_at, doc_version = n.doc_version + 1
FROM (
    SELECT m.message_id, m.deleted_at FROM collab.messages m WHERE m.user_id = ANY ($1::uuid[]) AND m.is_deleted
    UNION ALL
    SELECT m.message_id, m.deleted_at FROM collab.messages_archive m WHERE m.user_id = ANY ($1::uuid[]) AND m.is_deleted
) AS e
WHERE n.message_id = e.message_id AND n.withdrawn_at IS DISTINCT FROM e.deleted_at

-- name: record_channel_moves
INSERT INTO collab.channel_member_moves
SELECT * FROM json_populate_recordset(NULL::collab.channel_member_moves, $1::json) AS n ORDER BY n.event_id
ON CONFLICT (event_id) DO NOTHING

-- name: record_workspace_removals
INSERT INTO collab.workspace_removals
SELECT * FROM json_populate_recordset(NULL::collab.workspace_removals, $1::json) AS n ORDER BY n.event_id
ON CONFLICT (event_id) DO NOTHING
