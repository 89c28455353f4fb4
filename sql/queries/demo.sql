-- name: dead_letters_by_code
-- Unresolved ones; those of them at or behind the given offsets, and the newest one's reason. The arrays name every
-- partition once: topics, partitions, and the offsets where the log ended when the demo began.
SELECT d.code, count(*) FILTER (WHERE d."offset" >= s.log_end) AS new, count(*) AS total,
       (array_agg(d.reason ORDER BY d.first_failed_at DESC, d.topic, d.partition, d."offset"))[1] AS reason
FROM runtime.dead_letters d
JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS s (topic, partition, log_end)
  ON s.topic = d.topic AND s.partition = d.partition
WHERE d.projection = $1 AND d.resolved_at IS NULL
GROUP BY d.code ORDER BY d.code

-- name: notifications_by_kind
SELECT kind, count(*) AS raised, count(withdrawn_at) AS withdrawn, count(read_at) AS read
FROM collab.notifications GROUP BY kind ORDER BY raised DESC, kind

-- name: names_of_channels
SELECT c.channel_id, coalesce(c.display_name, c.name) AS channel, w.name AS workspace
FROM collab.channels c LEFT JOIN collab.workspaces w ON w.workspace_id = c.workspace_id
WHERE c.channel_id = ANY ($1::uuid[])
