-- name: leader_positions
-- How far projection $1, version $2 is in these partitions.
SELECT topic, partition, next_offset FROM runtime.progress
WHERE projection = $1 AND version = $2 AND topic = ANY ($3::text[])

-- name: skip_lost
-- Signals older than their topic's retention are older than every key's lifetime, too: nothing is lost with them.
UPDATE runtime.progress SET next_offset = $6, fingerprint = NULL, updated_at = now()
WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4 AND epoch = $5 AND next_offset < $6

-- name: generation
SELECT coalesce(max(generation), 0) FROM runtime.cache_rebuilds

-- ── what is dirty ────────────────────────────────────────────────────────────────────────────────────────────────

-- name: channels_of_messages
SELECT message_id, channel_id FROM runtime.message_ids WHERE message_id = ANY ($1::uuid[])

-- name: channels_of_people
-- Where these users wrote or reacted.
SELECT DISTINCT channel_id FROM collab.messages WHERE user_id = ANY ($1::uuid[])
UNION
SELECT DISTINCT channel_id FROM collab.messages_archive WHERE user_id = ANY ($1::uuid[])
UNION
SELECT DISTINCT channel_id FROM collab.message_reactions WHERE user_id = ANY ($1::uuid[])

-- name: channels_of_workspaces
-- A channel that nobody has described is known by its members or by what was counted in it.
SELECT channel_id FROM collab.channels WHERE workspace_id = ANY ($1::uuid[])
UNION
SELECT channel_id FROM collab.channel_members WHERE workspace_id = ANY ($1::uuid[])
UNION
SELECT channel_id FROM analytics.message_analytics WHERE workspace_id = ANY ($1::uuid[])

-- name: channels_without_workspace
-- Those of these channels whose workspace is deleted. A channel that nobody has described is known by its members or
-- by its messages.
SELECT k.channel_id::text AS channel_id
FROM unnest($1::uuid[]) AS k(channel_id)
JOIN collab.workspaces w ON w.workspace_id = coalesce(
    (SELECT c.workspace_id FROM collab.channels c WHERE c.channel_id = k.channel_id),
    (SELECT s.workspace_id FROM collab.channel_members s WHERE s.channel_id = k.channel_id AND s.workspace_id IS NOT NULL
     LIMIT 1),
    (SELECT m.workspace_id FROM collab.messages m WHERE m.channel_id = k.channel_id LIMIT 1))
WHERE w.deleted_at IS NOT NULL

-- name: memberships_of_people
SELECT m.channel_id, m.user_id FROM collab.channel_members m WHERE m.user_id = ANY ($1::uuid[])

-- name: memberships_of_channels
SELECT m.channel_id, m.user_id
FROM collab.channel_members m JOIN runtime.warm_users w ON w.user_id = m.user_id AND w.workspace_id = m.workspace_id
WHERE m.channel_id = ANY ($1::uuid[])

-- name: memberships_of_pairs
SELECT m.channel_id, m.user_id
FROM unnest($1::uuid[], $2::uuid[]) AS k (workspace_id, user_id)
JOIN collab.channel_members m ON m.user_id = k.user_id AND m.workspace_id = k.workspace_id

-- ── what it is: read in one snapshot ─────────────────────────────────────────────────────────────────────────────

-- name: lists
-- Stamp and newest 100 visible messages of each channel, as JSON texts, newest first. A deleted channel or workspace
-- shows nothing. The archive is part of it: retention moves rows, it does not hide them.
SELECT k.channel_id,
       coalesce(v.list_version, 0) + coalesce(c.doc_version, 0) AS version,
       CASE WHEN c.deleted_at IS NULL AND w.deleted_at IS NULL THEN l.items END AS items
FROM unnest($1::uuid[]) AS k (channel_id)
LEFT JOIN runtime.channel_versions v ON v.channel_id = k.channel_id
LEFT JOIN collab.channels c ON c.channel_id = k.channel_id
LEFT JOIN LATERAL (
    SELECT array_agg(
               json_build_object(
                   'message_id', t.message_id, 'user_id', t.user_id, 'content', t.content,
                   'created_at', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   'message_type', t.message_type, 'thread_id', t.thread_id,
                   'edited_at', to_char(t.edited_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   'reactions', t.reactions
               )::text ORDER BY t.created_at DESC, t.message_id DESC
           ) AS items,
           (array_agg(t.workspace_id))[1] AS workspace_id
    FROM (
        (SELECT m.message_id, m.user_id, m.content, m.created_at, m.message_type, m.thread_id, m.edited_at, m.reactions,
                m.workspace_id
         FROM collab.messages m WHERE m.channel_id = k.channel_id AND NOT m.is_deleted
         ORDER BY m.created_at DESC, m.message_id DESC LIMIT $2)
        UNION ALL
        (SELECT a.message_id, a.user_id, a.content, a.created_at, a.message_type, a.thread_id, a.edited_at, a.reactions,
                a.workspace_id
         FROM collab.messages_archive a WHERE a.channel_id = k.channel_id AND NOT a.is_deleted
         ORDER BY a.created_at DESC, a.message_id DESC LIMIT $2)
        ORDER BY created_at DESC, message_id DESC LIMIT $2
    ) AS t
) AS l ON true
LEFT JOIN collab.workspaces w ON w.workspace_id = coalesce(c.workspace_id, l.workspace_id)

-- name: outlines
-- The same lists without their texts: which messages in which version. Most of a list is what it was before.
SELECT k.channel_id,
       coalesce(v.list_version, 0) + coalesce(c.doc_version, 0) AS version,
       CASE WHEN c.deleted_at IS NULL AND w.deleted_at IS NULL THEN l.outline END AS outline
FROM unnest($1::uuid[]) AS k (channel_id)
LEFT JOIN runtime.channel_versions v ON v.channel_id = k.channel_id
LEFT JOIN collab.channels c ON c.channel_id = k.channel_id
LEFT JOIN LATERAL (
    SELECT array_agg(t.message_id::text || '.' || t.doc_version ORDER BY t.created_at DESC, t.message_id DESC) AS outline,
           (array_agg(t.workspace_id))[1] AS workspace_id
    FROM (
        (SELECT m.message_id, m.created_at, m.doc_version, m.workspace_id
         FROM collab.messages m WHERE m.channel_id = k.channel_id AND NOT m.is_deleted
         ORDER BY m.created_at DESC, m.message_id DESC LIMIT $2)
        UNION ALL
        (SELECT a.message_id, a.created_at, a.doc_version, a.workspace_id
         FROM collab.messages_archive a WHERE a.channel_id = k.channel_id AND NOT a.is_deleted
         ORDER BY a.created_at DESC, a.message_id DESC LIMIT $2)
        ORDER BY created_at DESC, message_id DESC LIMIT $2
    ) AS t
) AS l ON true
LEFT JOIN collab.workspaces w ON w.workspace_id = coalesce(c.workspace_id, l.workspace_id)

-- name: texts
SELECT t.message_id::text AS message_id,
       json_build_object(
           'message_id', t.message_id, 'user_id', t.user_id, 'content', t.content,
           'created_at', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'message_type', t.message_type, 'thread_id', t.thread_id,
           'edited_at', to_char(t.edited_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'reactions', t.reactions
       )::text AS item
FROM unnest($1::uuid[]) AS k (message_id)
JOIN runtime.message_ids i ON i.message_id = k.message_id
CROSS JOIN LATERAL (
    SELECT m.message_id, m.user_id, m.content, m.created_at, m.message_type, m.thread_id, m.edited_at, m.reactions
    FROM collab.messages m WHERE m.message_id = i.message_id AND m.created_at = i.created_at
    UNION ALL
    SELECT a.message_id, a.user_id, a.content, a.created_at, a.message_type, a.thread_id, a.edited_at, a.reactions
    FROM collab.messages_archive a WHERE a.message_id = i.message_id AND a.created_at = i.created_at
    LIMIT 1
) AS t

-- name: unread_bases
-- From when on each of these members counts (rule U), and the stamp of the count: channel's and membership's versions.
SELECT m.channel_id::text AS channel_id, m.user_id::text AS user_id, m.workspace_id::text AS workspace_id,
       m.is_active AND c.deleted_at IS NULL AS counts,
       greatest(m.last_read_at, m.joined_at) + interval '1 microsecond' AS base,
       coalesce(v.list_version, 0) + m.doc_version AS version
FROM unnest($1::uuid[], $2::uuid[]) AS k (channel_id, user_id)
JOIN collab.channel_members m ON m.channel_id = k.channel_id AND m.user_id = k.user_id
JOIN runtime.warm_users w ON w.user_id = m.user_id AND w.workspace_id = m.workspace_id
LEFT JOIN collab.channels c ON c.channel_id = m.channel_id
LEFT JOIN runtime.channel_versions v ON v.channel_id = m.channel_id

-- name: unread_bases_of_channels
-- The same for every active member of these channels: those who left have their own event for it.
SELECT m.channel_id::text AS channel_id, m.user_id::text AS user_id, m.workspace_id::text AS workspace_id,
       c.deleted_at IS NULL AS counts,
       greatest(m.last_read_at, m.joined_at) + interval '1 microsecond' AS base,
       coalesce(v.list_version, 0) + m.doc_version AS version
FROM unnest($1::uuid[]) AS k (channel_id)
LEFT JOIN collab.channels c ON c.channel_id = k.channel_id
LEFT JOIN runtime.channel_versions v ON v.channel_id = k.channel_id
JOIN collab.channel_members m ON m.channel_id = k.channel_id AND m.is_active
JOIN runtime.warm_users w ON w.user_id = m.user_id AND w.workspace_id = m.workspace_id

-- name: unread_of_users
-- Every channel of these (user, workspace): its version; its members among them by the place they count from (those who
-- do not count come last), as numbers in the order given, each with the membership's version; and its messages behind
-- each of those places, by author. So a channel is looked up and scanned once, however many of them are in it.
WITH memberships AS MATERIALIZED (
    SELECT m.channel_id, k.number::int AS number, m.doc_version,
           CASE WHEN m.is_active THEN greatest(m.last_read_at, m.joined_at) + interval '1 microsecond' END AS base
    FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS k (user_id, workspace_id, number)
    JOIN collab.channel_members m ON m.user_id = k.user_id AND m.workspace_id = k.workspace_id
), channels AS MATERIALIZED (
    -- Sorted once for all three: each would sort a channel's members for itself.
    SELECT channel_id, array_agg(number) AS numbers, array_agg(doc_version) AS versions,
           array_agg(base) FILTER (WHERE base IS NOT NULL) AS bases
    FROM (SELECT * FROM memberships ORDER BY channel_id, base, number) AS sorted GROUP BY channel_id
)
SELECT k.channel_id::text AS channel_id, coalesce(v.list_version, 0) AS version, k.numbers, k.versions,
       t.places, t.authors, t.counts
FROM channels k
LEFT JOIN collab.channels c ON c.channel_id = k.channel_id
LEFT JOIN runtime.channel_versions v ON v.channel_id = k.channel_id
LEFT JOIN LATERAL (
    SELECT array_agg(b.place) AS places, array_agg(b.user_id::text) AS authors, array_agg(b.n) AS counts
    FROM (
        SELECT width_bucket(s.created_at, k.bases) AS place, s.user_id, count(*)::int AS n
        FROM (
            SELECT m.created_at, m.user_id FROM collab.messages m
            WHERE m.channel_id = k.channel_id AND m.created_at >= k.bases[1]
              AND NOT m.is_deleted AND m.message_type IN ('text', 'file', 'bot')
            UNION ALL
            SELECT a.created_at, a.user_id FROM collab.messages_archive a
            WHERE a.channel_id = k.channel_id AND a.created_at >= k.bases[1]
              AND NOT a.is_deleted AND a.message_type IN ('text', 'file', 'bot')
        ) AS s
        GROUP BY 1, 2
    ) AS b
) AS t ON c.deleted_at IS NULL

-- name: unread_tails
-- One scan a channel, from the furthest base on: messages between neighbouring bases, by author.
WITH wanted AS MATERIALIZED (
    SELECT channel_id, array_agg(base ORDER BY base) AS bases, min(base) AS lowest
    FROM unnest($1::uuid[], $2::timestamptz[]) AS k (channel_id, base) GROUP BY channel_id
)
SELECT w.channel_id::text AS channel_id, t.bucket, t.user_id::text AS user_id, t.n
FROM wanted w
CROSS JOIN LATERAL (
    SELECT width_bucket(s.created_at, w.bases) AS bucket, s.user_id, count(*)::int AS n
    FROM (
        SELECT m.created_at, m.user_id FROM collab.messages m
        WHERE m.channel_id = w.channel_id AND m.created_at >= w.lowest
          AND NOT m.is_deleted AND m.message_type IN ('text', 'file', 'bot')
        UNION ALL
        SELECT a.created_at, a.user_id FROM collab.messages_archive a
        WHERE a.channel_id = w.channel_id AND a.created_at >= w.lowest
          AND NOT a.is_deleted AND a.message_type IN ('text', 'file', 'bot')
    ) AS s
    GROUP BY 1, 2
) AS t

-- name: members
SELECT k.channel_id::text AS channel_id, statement_timestamp() AS read_at,
       coalesce(v.members_version, 0) + coalesce(c.doc_version, 0) AS version,
       CASE WHEN c.deleted_at IS NULL THEN (
           SELECT array_agg(m.user_id::text) FROM collab.channel_members m
           WHERE m.channel_id = k.channel_id AND m.is_active
       ) END AS members
FROM unnest($1::uuid[]) AS k (channel_id)
LEFT JOIN runtime.channel_versions v ON v.channel_id = k.channel_id
LEFT JOIN collab.channels c ON c.channel_id = k.channel_id

-- name: living
-- What living keys show, as JSON; nothing where they are gone (ruling 55a; presence follows its own sequence and ends
-- with its user or workspace only).
SELECT l.kind, l.key,
       l.version + coalesce(u.doc_version, 0) + coalesce(w.doc_version, 0) + coalesce(s.doc_version, 0) AS version,
       CASE WHEN l.began_at IS NULL OR l.is_ended OR u.erased_at IS NOT NULL OR w.deleted_at IS NOT NULL
              OR (l.kind <> 'presence' AND s.last_removed_at >= l.began_at) THEN NULL
       ELSE runtime.living_value(l.kind, l.value, l.user_id, l.workspace_id, l.began_at, l.last_at) END AS value,
       round(date_part('epoch', l.expires_at) * 1000000)::bigint / 1000 AS ends_ms
FROM unnest($1::text[], $2::text[]) AS k (kind, key)
JOIN runtime.living_keys l ON l.kind = k.kind AND l.key = k.key
LEFT JOIN collab.users u ON u.user_id = l.user_id
LEFT JOIN collab.workspaces w ON w.workspace_id = l.workspace_id
LEFT JOIN collab.workspace_members s ON s.workspace_id = l.workspace_id AND s.user_id = l.user_id

-- name: rates
-- Messages of a user in a channel in the minute of each of these messages, by event time. The index is over
-- created_at, which is near to it except in imports: those are counted by id.
WITH posted AS MATERIALIZED (
    SELECT m.message_id, m.user_id, m.workspace_id, m.channel_id, m.posted_at,
           date_trunc('minute', m.posted_at) AS minute,
           m.created_at NOT BETWEEN date_trunc('minute', m.posted_at) - interval '10 minutes'
               AND date_trunc('minute', m.posted_at) + interval '11 minutes' AS is_import
    FROM runtime.message_ids i
    JOIN collab.messages m ON m.message_id = i.message_id AND m.created_at = i.created_at
    WHERE i.message_id = ANY ($1::uuid[]) AND i.canonical_id IS NULL
), minutes AS (
    SELECT user_id, workspace_id, channel_id, minute, max(posted_at) AS last_at,  -- of imports, which are not below
           array_agg(message_id::text) FILTER (WHERE is_import) AS imports
    FROM posted GROUP BY user_id, workspace_id, channel_id, minute
)
SELECT k.user_id::text AS user_id, k.channel_id::text AS channel_id, k.minute, greatest(k.last_at, t.last_at) AS last_at,
       k.imports, t.n
FROM minutes k
CROSS JOIN LATERAL (
    SELECT count(*)::int AS n, max(m.posted_at) AS last_at FROM collab.messages m
    WHERE m.user_id = k.user_id AND m.workspace_id = k.workspace_id AND m.channel_id = k.channel_id
      AND m.created_at BETWEEN k.minute - interval '10 minutes' AND k.minute + interval '11 minutes'
      AND m.posted_at >= k.minute AND m.posted_at < k.minute + interval '1 minute'
) AS t

-- ── living keys and warm users ───────────────────────────────────────────────────────────────────────────────────

-- name: merge_living
-- Rule R for the register, any order for the end. A session lives from its last sign of life on, a presence from the
-- event that holds it.
INSERT INTO runtime.living_keys AS l
    (kind, key, user_id, workspace_id, sequence, event_id, began_at, last_at, value, is_ended, expires_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::bigint[], $6::uuid[], $7::timestamptz[],
                     $8::timestamptz[], $9::jsonb[], $10::bool[], $11::timestamptz[])
    AS n (kind, key, user_id, workspace_id, sequence, event_id, began_at, last_at, value, is_ended, expires_at)
ORDER BY n.kind, n.key
ON CONFLICT (kind, key) DO UPDATE SET
    (user_id, workspace_id, sequence, event_id, began_at, value) = (
        SELECT r.user_id, r.workspace_id, r.sequence, r.event_id, r.began_at, r.value
        FROM (VALUES (l.user_id, l.workspace_id, l.sequence, l.event_id, l.began_at, l.value),
                     (excluded.user_id, excluded.workspace_id, excluded.sequence, excluded.event_id, excluded.began_at, excluded.value)
             ) AS r (user_id, workspace_id, sequence, event_id, began_at, value)
        ORDER BY r.sequence DESC, r.event_id DESC LIMIT 1
    ),
    last_at = greatest(l.last_at, excluded.last_at),
    is_ended = l.is_ended OR excluded.is_ended,
    expires_at = CASE
        WHEN l.kind <> 'presence' THEN greatest(l.expires_at, excluded.expires_at)
        WHEN (excluded.sequence, excluded.event_id) > (l.sequence, l.event_id) THEN excluded.expires_at
        ELSE l.expires_at END,
    version = l.version + 1
WHERE (excluded.sequence, excluded.event_id) > (l.sequence, l.event_id)
   OR (excluded.is_ended AND NOT l.is_ended) OR excluded.last_at > l.last_at

-- name: living_of_people
SELECT kind, key FROM runtime.living_keys WHERE user_id = ANY ($1::uuid[])

-- name: living_of_workspaces
SELECT kind, key FROM runtime.living_keys WHERE workspace_id = ANY ($1::uuid[])

-- name: warm_live
-- Keep the counts of those of these users who have a session that lives at $2, in every workspace they have channels in.
INSERT INTO runtime.warm_users (user_id, workspace_id, warmed_at)
SELECT DISTINCT m.user_id, m.workspace_id, $2::timestamptz
FROM runtime.living_keys l
JOIN collab.channel_members m ON m.user_id = l.user_id AND m.is_active AND m.workspace_id IS NOT NULL
LEFT JOIN collab.users u ON u.user_id = l.user_id
LEFT JOIN collab.workspaces w ON w.workspace_id = l.workspace_id
LEFT JOIN collab.workspace_members s ON s.workspace_id = l.workspace_id AND s.user_id = l.user_id
WHERE l.user_id = ANY ($1::uuid[]) AND l.kind = 'session' AND NOT l.is_ended AND l.began_at IS NOT NULL
  AND l.expires_at > $2 AND u.erased_at IS NULL AND w.deleted_at IS NULL
  AND (s.last_removed_at IS NULL OR s.last_removed_at < l.began_at)
ORDER BY 1, 2
ON CONFLICT (user_id, workspace_id) DO UPDATE SET warmed_at = excluded.warmed_at
RETURNING user_id::text AS user_id, workspace_id::text AS workspace_id, birth

-- name: warm_given
INSERT INTO runtime.warm_users (user_id, workspace_id, warmed_at)
SELECT k.user_id, k.workspace_id, $3 FROM unnest($1::uuid[], $2::uuid[]) AS k (user_id, workspace_id)
ORDER BY 1, 2
ON CONFLICT (user_id, workspace_id) DO UPDATE SET warmed_at = excluded.warmed_at
RETURNING user_id::text AS user_id, workspace_id::text AS workspace_id, birth

-- name: warm_births
SELECT w.user_id::text AS user_id, w.workspace_id::text AS workspace_id, w.birth
FROM unnest($1::uuid[], $2::uuid[]) AS k (user_id, workspace_id)
JOIN runtime.warm_users w ON w.user_id = k.user_id AND w.workspace_id = k.workspace_id

-- name: cool_users
-- Those whose counts nobody has asked for since $1 and who have no session that lives at $2; at most $3.
DELETE FROM runtime.warm_users d USING (
    SELECT w.user_id, w.workspace_id FROM runtime.warm_users w
    WHERE w.warmed_at < $1 AND NOT EXISTS (
        SELECT FROM runtime.living_keys l
        WHERE l.user_id = w.user_id AND l.kind = 'session' AND NOT l.is_ended AND l.expires_at > $2
    ) LIMIT $3
) AS k
WHERE d.user_id = k.user_id AND d.workspace_id = k.workspace_id
RETURNING d.user_id::text AS user_id, d.workspace_id::text AS workspace_id, d.birth

-- name: forget_living
DELETE FROM runtime.living_keys WHERE expires_at < $1
