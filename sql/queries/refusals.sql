-- name: park
INSERT INTO runtime.parked_events AS p
    (event_id, projection, subject, type, sequence, waits_for, topic, partition, "offset", key, raw, append_time, behind,
     headers, workspace_id)
SELECT event_id, $1, subject, type, sequence, waits_for, topic, partition, "offset", key, raw, append_time, behind,
       headers, workspace_id
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::int[], $9::bigint[], $10::bytea[],
            $11::bytea[], $12::timestamptz[], $13::bool[], $14::jsonb[], $15::text[])
    AS n (event_id, subject, type, sequence, waits_for, topic, partition, "offset", key, raw, append_time, behind, headers,
          workspace_id)
ON CONFLICT (event_id, projection) DO UPDATE SET waits_for = excluded.waits_for, behind = excluded.behind
WHERE p.waits_for <> excluded.waits_for

-- name: has_parked
SELECT EXISTS (SELECT FROM runtime.parked_events)

-- name: release
SELECT event_id, waits_for, topic, partition, "offset", key, raw, append_time, headers
FROM runtime.parked_events WHERE projection = $1 AND waits_for = ANY ($2::uuid[])
ORDER BY sequence, event_id

-- name: unpark
DELETE FROM runtime.parked_events WHERE projection = $1 AND event_id = ANY ($2::uuid[])

-- name: overdue
-- Parked longer than the limit: they become dead letters E_ORPHAN in the same transaction; one that was redriven and
-- has waited in vain again opens its letter again. What waits behind a dead letter waits for a person, however long.
WITH overdue AS (
    DELETE FROM runtime.parked_events
    WHERE projection = $1 AND event_id IN (
        SELECT event_id FROM runtime.parked_events
        WHERE projection = $1 AND parked_at < $2 AND NOT behind ORDER BY parked_at LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
), void AS (
    SELECT o.event_id, max(p.next_offset) AS until
    FROM overdue o
    LEFT JOIN runtime.progress p ON p.projection = $1 AND p.topic = o.topic AND p.partition = o.partition
    GROUP BY o.event_id
), reopened AS (
    UPDATE runtime.dead_letters d
    SET attempts = d.attempts + 1, last_failed_at = now(), resolved_at = NULL, resolution = NULL, relayed_at = NULL,
        void_until = v.until,
        history = d.history || jsonb_build_object('at', now(), 'what', 'refused', 'code', d.code, 'offset', o."offset")
    FROM overdue o JOIN void v USING (event_id)
    WHERE d.projection = $1 AND d.event_id = o.event_id::text AND d.code = 'E_ORPHAN'
    RETURNING d.topic, d.partition, d."offset", o.event_id
), added AS (
    INSERT INTO runtime.dead_letters AS d
        (projection, topic, partition, "offset", key, code, reason, raw, headers, event_type, event_id, workspace_id,
         append_time, void_until)
    SELECT projection, topic, partition, "offset", key, 'E_ORPHAN', 'the ' ||
           CASE WHEN type LIKE '%.file.%' THEN 'file or message' ELSE 'message' END || ' it is about never came',
           raw, headers, type, o.event_id, workspace_id, append_time, v.until
    FROM overdue o JOIN void v USING (event_id)
    WHERE o.event_id NOT IN (SELECT event_id FROM reopened)
    ON CONFLICT (projection, topic, partition, "offset") DO UPDATE
    SET attempts = d.attempts + 1, last_failed_at = now(), resolved_at = NULL, relayed_at = NULL, code = excluded.code,
        reason = excluded.reason, void_until = excluded.void_until
    RETURNING topic, partition, "offset"
)
SELECT topic, partition, "offset" FROM reopened UNION ALL SELECT topic, partition, "offset" FROM added

-- name: has_letters
-- Whether a batch has to look at dead letters at all: some open one blocks a subject of its partitions, or it reads
-- records again at which there are open ones. Both are answered by an index, for every transaction asks.
SELECT EXISTS (
    SELECT FROM unnest($2::text[], $3::int[], $4::bigint[]) AS s (topic, partition, expected)
    WHERE EXISTS (SELECT FROM runtime.dead_letters d
                  WHERE d.projection = $1 AND d.topic = s.topic AND d.partition = s.partition
                    AND d.resolved_at IS NULL AND d.subject IS NOT NULL)
       OR EXISTS (SELECT FROM runtime.dead_letters d
                  WHERE d.projection = $1 AND d.topic = s.topic AND d.partition = s.partition
                    AND d."offset" >= s.expected AND d.resolved_at IS NULL)
)

-- name: open_letters
SELECT d.topic, d.partition, d."offset", d.event_id, d.subject
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS s (topic, partition, expected, reached)
JOIN runtime.dead_letters d ON d.projection = $1 AND d.topic = s.topic AND d.partition = s.partition
WHERE d.resolved_at IS NULL
  AND (d.subject IS NOT NULL OR (d."offset" >= s.expected AND d."offset" < s.reached))
ORDER BY d.topic, d.partition, d."offset"

-- name: redriven_letters
SELECT d.topic, d.partition, d."offset", d.event_id, d.key, d.raw
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS s (topic, partition, "offset")
JOIN runtime.dead_letters d
  ON d.projection = $1 AND d.topic = s.topic AND d.partition = s.partition AND d."offset" = s."offset"
WHERE d.resolved_at IS NULL

-- name: add_dead_letters
-- For letters behind which nothing waits, without the time of their record.
INSERT INTO runtime.dead_letters AS d
    (projection, topic, partition, "offset", key, code, reason, raw, headers, event_type, event_id, workspace_id)
SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], $9::jsonb[],
                         $10::text[], $11::text[], $12::text[])
ON CONFLICT (projection, topic, partition, "offset") DO UPDATE
SET attempts = d.attempts + 1, last_failed_at = now(), code = excluded.code, reason = excluded.reason,
    resolved_at = NULL, resolution = NULL

-- name: keep_letters
-- The same record again (a replay) opens its letter again; `attempts` go on.
INSERT INTO runtime.dead_letters AS d
    (projection, topic, partition, "offset", key, code, reason, raw, headers, event_type, event_id, workspace_id,
     append_time, subject)
SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], $9::jsonb[],
                         $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::text[])
ON CONFLICT (projection, topic, partition, "offset") DO UPDATE
SET attempts = d.attempts + 1, last_failed_at = now(), code = excluded.code, reason = excluded.reason,
    subject = excluded.subject, resolved_at = NULL, resolution = NULL, void_until = NULL,
    history = d.history || jsonb_build_object('at', now(), 'what', 'refused', 'code', excluded.code, 'offset', d."offset")

-- name: refuse_again
-- A redriven record that was refused again: its letter, which is published once more, with one attempt more.
UPDATE runtime.dead_letters d
SET attempts = d.attempts + 1, last_failed_at = now(), code = r.code, reason = r.reason, relayed_at = NULL,
    subject = coalesce(r.subject, d.subject),
    history = d.history || jsonb_build_object('at', now(), 'what', 'refused', 'code', r.code, 'offset', r.refused_at)
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[])
    AS r (topic, partition, "offset", code, reason, subject, refused_at)
WHERE d.projection = $1 AND d.topic = r.topic AND d.partition = r.partition AND d."offset" = r."offset"

-- name: resolve_letters
-- Applied after all: at `applied_at`, from which on the event's records count again.
UPDATE runtime.dead_letters d
SET resolved_at = now(), void_until = r.applied_at,
    resolution = CASE WHEN r.applied_at = d."offset" THEN 'applied' ELSE 'redriven' END,
    history = d.history || jsonb_build_object('at', now(), 'what', 'applied', 'offset', r.applied_at)
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS r (topic, partition, "offset", applied_at)
WHERE d.projection = $1 AND d.topic = r.topic AND d.partition = r.partition AND d."offset" = r."offset"
  AND d.resolved_at IS NULL

-- name: unblocked
-- Events behind a letter that was discarded (or taken away by hand): nobody applies them until they are released.
SELECT DISTINCT p.topic, p.partition, p.waits_for
FROM runtime.parked_events p
WHERE p.projection = $1 AND p.behind AND NOT EXISTS (
    SELECT FROM runtime.dead_letters d
    WHERE d.projection = $1 AND d.event_id = p.waits_for::text AND d.resolved_at IS NULL
)
LIMIT $2

-- name: unrelayed
SELECT projection, topic, partition, "offset", key, code, reason, raw, headers, attempts, first_failed_at, append_time
FROM runtime.dead_letters WHERE projection = $1 AND relayed_at IS NULL
ORDER BY topic, partition, "offset" LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: mark_relayed
UPDATE runtime.dead_letters d SET relayed_at = now()
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS k (topic, partition, "offset")
WHERE d.projection = $1 AND d.topic = k.topic AND d.partition = k.partition AND d."offset" = k."offset"

-- name: has_unrelayed
SELECT EXISTS (SELECT FROM runtime.dead_letters WHERE projection = $1 AND relayed_at IS NULL)
