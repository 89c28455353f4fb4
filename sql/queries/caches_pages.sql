-- name: open_rebuild
INSERT INTO runtime.cache_rebuilds (scope, scope_id, reason, owner, heartbeat_at) VALUES ($1, $2, $3, $4, now())
ON CONFLICT DO NOTHING
RETURNING generation

-- name: unfinished_rebuilds
SELECT generation, scope, scope_id, reason, owner, stage, after_key, done, total, started_at,
       heartbeat_at > now() - make_interval(secs => $1) AS is_held
FROM runtime.cache_rebuilds WHERE finished_at IS NULL ORDER BY generation

-- name: take_rebuild
UPDATE runtime.cache_rebuilds SET owner = $2, heartbeat_at = now()
WHERE generation = $1 AND finished_at IS NULL AND (owner = $2 OR heartbeat_at < now() - make_interval(secs => $3))
RETURNING stage, after_key, done, total

-- name: note_rebuild
UPDATE runtime.cache_rebuilds SET stage = $3, after_key = $4, done = $5, total = coalesce($6, total), heartbeat_at = now()
WHERE generation = $1 AND owner = $2 AND finished_at IS NULL
RETURNING generation

-- name: finish_rebuild
UPDATE runtime.cache_rebuilds SET finished_at = now() WHERE generation = $1 AND owner = $2

-- name: page_channels
-- Channels after $1 that any cache may hold; $2 narrows to a workspace.
SELECT channel_id::text AS key FROM (
    SELECT v.channel_id FROM runtime.channel_versions v
    LEFT JOIN collab.channels c ON c.channel_id = v.channel_id
    WHERE v.channel_id > $1::uuid AND ($2::uuid IS NULL OR c.workspace_id = $2
        OR (c.channel_id IS NULL AND EXISTS (
            SELECT FROM analytics.message_analytics a WHERE a.workspace_id = $2 AND a.channel_id = v.channel_id)))
    ORDER BY v.channel_id LIMIT $3
) AS page

-- name: page_warm
-- Users whose counts are kept, after workspace $1 and user $2; $3 narrows to a workspace. Those of one workspace stand
-- together, so that a page's users share channels: each is scanned once a page. At most $4 of them, and only until they
-- have $5 channels.
SELECT user_id, workspace_id, birth FROM (
    SELECT w.user_id::text AS user_id, w.workspace_id::text AS workspace_id, w.birth, m.channels,
           sum(m.channels) OVER (ORDER BY w.workspace_id, w.user_id ROWS UNBOUNDED PRECEDING) AS channels_so_far
    FROM (
        SELECT user_id, workspace_id, birth FROM runtime.warm_users
        WHERE (workspace_id, user_id) > ($1::uuid, $2::uuid) AND ($3::uuid IS NULL OR workspace_id = $3)
        ORDER BY workspace_id, user_id LIMIT $4
    ) AS w
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS channels FROM collab.channel_members m
        WHERE m.user_id = w.user_id AND m.workspace_id = w.workspace_id
    ) AS m
    ORDER BY w.workspace_id, w.user_id
) AS page
WHERE channels_so_far - channels < $5

-- name: page_readers
-- Everybody after $1 who may have unread messages, $3 users at a time.
WITH page AS (
    SELECT DISTINCT user_id FROM collab.channel_members
    WHERE is_active AND workspace_id IS NOT NULL AND user_id > $1::uuid AND ($2::uuid IS NULL OR workspace_id = $2)
    ORDER BY user_id LIMIT $3
)
SELECT DISTINCT m.user_id::text AS user_id, m.workspace_id::text AS workspace_id
FROM page p JOIN collab.channel_members m ON m.user_id = p.user_id
WHERE m.is_active AND m.workspace_id IS NOT NULL AND ($2::uuid IS NULL OR m.workspace_id = $2)
ORDER BY 1, 2

-- name: page_living
-- The user with whom a page of $2 living keys ends that begins after user $1 (null: with the first). What comes to be
-- before that place is written by the batch that it comes with.
SELECT (array_agg(user_id))[count(*)::int]::text AS user_id, count(*) AS keys FROM (
    SELECT user_id FROM runtime.living_keys
    WHERE user_id >= coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND user_id IS DISTINCT FROM $1
    ORDER BY user_id LIMIT $2
) AS page
HAVING count(*) > 0

-- name: page_living_of_workspace
-- The same of workspace $3 alone. (An index answers the other one, and could not if it asked for workspaces, too.)
SELECT (array_agg(user_id))[count(*)::int]::text AS user_id, count(*) AS keys FROM (
    SELECT user_id FROM runtime.living_keys
    WHERE user_id >= coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND user_id IS DISTINCT FROM $1
      AND workspace_id = $3::uuid
    ORDER BY user_id LIMIT $2
) AS page
HAVING count(*) > 0

-- name: living_names
-- Living keys of the users after $1 up to $2 whose end is not past at $4; $5 of them.
SELECT kind, key
FROM runtime.living_keys
WHERE user_id >= coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND user_id <= $2::uuid
  AND user_id IS DISTINCT FROM $1 AND ($3::uuid IS NULL OR workspace_id = $3) AND expires_at > $4
LIMIT $5

-- name: living_of_range
-- `living` for all of the users after $1 (null: from the first on) up to $2; $3 narrows to a workspace. Joined as sets:
-- neighbours of an index.
SELECT l.kind, l.key,
       l.version + coalesce(u.doc_version, 0) + coalesce(w.doc_version, 0) + coalesce(s.doc_version, 0) AS version,
       CASE WHEN l.began_at IS NULL OR l.is_ended OR u.erased_at IS NOT NULL OR w.deleted_at IS NOT NULL
              OR (l.kind <> 'presence' AND s.last_removed_at >= l.began_at) THEN NULL
       ELSE runtime.living_value(l.kind, l.value, l.user_id, l.workspace_id, l.began_at, l.last_at) END AS value,
       round(date_part('epoch', l.expires_at) * 1000000)::bigint / 1000 AS ends_ms
FROM runtime.living_keys l
LEFT JOIN (
    SELECT user_id, doc_version, erased_at FROM collab.users
    WHERE user_id >= coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND user_id <= $2::uuid
) AS u ON u.user_id = l.user_id
LEFT JOIN (
    SELECT workspace_id, user_id, doc_version, last_removed_at FROM collab.workspace_members
    WHERE user_id >= coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND user_id <= $2::uuid
) AS s ON s.workspace_id = l.workspace_id AND s.user_id = l.user_id
LEFT JOIN LATERAL (
    SELECT doc_version, deleted_at FROM collab.workspaces WHERE workspace_id = l.workspace_id LIMIT 1
) AS w ON true
WHERE l.user_id >= coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND l.user_id <= $2::uuid
  AND l.user_id IS DISTINCT FROM $1 AND ($3::uuid IS NULL OR l.workspace_id = $3)

-- name: newest_posts
-- Messages whose rate may still show: the minute's newest one keeps it. A scan of the whole table, once in a rebuild: an
-- index by time is not worth what it would cost every message.
SELECT i.message_id FROM runtime.message_ids i
WHERE i.canonical_id IS NULL AND i.posted_at > now() - interval '2 minutes'
  AND ($1::uuid IS NULL OR i.channel_id IN (SELECT c.channel_id FROM collab.channels c WHERE c.workspace_id = $1))

-- name: sizes
SELECT (SELECT count(*) FROM runtime.channel_versions) AS channels,
       (SELECT count(*) FROM runtime.warm_users) AS warm,
       (SELECT count(*) FROM runtime.living_keys) AS living

-- name: warm_of_user
SELECT user_id::text, workspace_id::text FROM runtime.warm_users WHERE user_id = $1::uuid
