-- name: park
INSERT INTO runtime.parked_events AS p
    (event_id, projection, subject, type, sequence, waits_for, topic, partition, "offset", key, raw, append_time)
SELECT event_id, $1, subject, type, sequence, waits_for, topic, partition, "offset", key, raw, append_time
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::int[], $9::bigint[], $10::bytea[],
            $11::bytea[], $12::timestamptz[])
    AS n (event_id, subject, type, sequence, waits_for, topic, partition, "offset", key, raw, append_time)
ON CONFLICT (event_id, projection) DO UPDATE SET waits_for = excluded.waits_for
WHERE p.waits_for <> excluded.waits_for

-- name: release
SELECT event_id, topic, partition, "offset", key, raw, append_time
FROM runtime.parked_events WHERE projection = $1 AND waits_for = ANY ($2::uuid[])
ORDER BY sequence, event_id

-- name: unpark
DELETE FROM runtime.parked_events WHERE projection = $1 AND event_id = ANY ($2::uuid[])

-- name: overdue
-- Parked longer than the limit: they become dead letters E_ORPHAN in the same transaction.
WITH overdue AS (
    DELETE FROM runtime.parked_events
    WHERE projection = $1 AND event_id IN (
        SELECT event_id FROM runtime.parked_events
        WHERE projection = $1 AND parked_at < $2 ORDER BY parked_at LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
)
INSERT INTO runtime.dead_letters AS d
    (projection, topic, partition, "offset", key, code, reason, raw, event_type, event_id, first_failed_at, last_failed_at)
SELECT projection, topic, partition, "offset", key, 'E_ORPHAN', 'the ' ||
       CASE WHEN type LIKE '%.file.%' THEN 'file or message' ELSE 'message' END || ' it is about never came',
       raw, type, event_id, now(), now()
FROM overdue
ON CONFLICT (projection, topic, partition, "offset") DO UPDATE
SET attempts = d.attempts + 1, last_failed_at = now(), resolved_at = NULL, relayed_at = NULL
RETURNING topic, partition, "offset"

-- name: add_dead_letters
INSERT INTO runtime.dead_letters AS d
    (projection, topic, partition, "offset", key, code, reason, raw, headers, event_type, event_id, workspace_id)
SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], $9::jsonb[],
                         $10::text[], $11::text[], $12::text[])
ON CONFLICT (projection, topic, partition, "offset") DO UPDATE
SET attempts = d.attempts + 1, last_failed_at = now(), code = excluded.code, reason = excluded.reason, resolved_at = NULL

-- name: unrelayed
SELECT projection, topic, partition, "offset", key, code, reason, raw, headers, attempts, first_failed_at
FROM runtime.dead_letters WHERE projection = $1 AND relayed_at IS NULL
ORDER BY topic, partition, "offset" LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: mark_relayed
UPDATE runtime.dead_letters d SET relayed_at = now()
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS k (topic, partition, "offset")
WHERE d.projection = $1 AND d.topic = k.topic AND d.partition = k.partition AND d."offset" = k."offset"

-- name: has_unrelayed
SELECT EXISTS (SELECT FROM runtime.dead_letters WHERE projection = $1 AND relayed_at IS NULL)
