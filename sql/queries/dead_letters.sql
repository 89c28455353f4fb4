-- What `tailrace dlq` asks. A selection is the same eleven parameters everywhere, null where it does not matter:
-- $1 event ids, $2 places (topic/partition/offset), $3 projection, $4 codes, $5 types, $6 workspace, $7 since and $8 before
-- (of the last failure), $9 topic, $10 partition, $11 key; and $12, whether only open letters are meant.

-- name: find_letters
-- Newest first; $13 to $17 are where the page before ended, $18 how many.
SELECT d.projection, d.topic, d.partition, d."offset", d.code, d.reason, d.event_type, d.event_id, d.workspace_id,
       d.attempts, d.first_failed_at, d.last_failed_at, d.append_time, d.subject, d.resolved_at, d.resolution,
       d.resolved_by, d.resolved_reason, coalesce(b.behind, 0) AS behind
FROM runtime.dead_letters d
LEFT JOIN LATERAL (
    SELECT count(*) AS behind FROM runtime.parked_events p
    WHERE d.subject IS NOT NULL AND p.behind AND p.projection = d.projection AND p.waits_for = d.event_id::uuid
) AS b ON true
WHERE ($1::text[] IS NULL AND $2::text[] IS NULL OR d.event_id = ANY ($1::text[])
       OR d.topic || '/' || d.partition || '/' || d."offset" = ANY ($2::text[]))
  AND ($3::text IS NULL OR d.projection = $3) AND ($4::text[] IS NULL OR d.code = ANY ($4::text[]))
  AND ($5::text[] IS NULL OR d.event_type = ANY ($5::text[])) AND ($6::text IS NULL OR d.workspace_id = $6)
  AND ($7::timestamptz IS NULL OR d.last_failed_at >= $7) AND ($8::timestamptz IS NULL OR d.last_failed_at < $8)
  AND ($9::text IS NULL OR d.topic = $9) AND ($10::int IS NULL OR d.partition = $10) AND ($11::bytea IS NULL OR d.key = $11)
  AND (NOT $12::bool OR d.resolved_at IS NULL)
  AND ($13::timestamptz IS NULL
       OR (d.last_failed_at, d.projection, d.topic, d.partition, d."offset")
          < ($13::timestamptz, $14::text, $15::text, $16::int, $17::bigint))
ORDER BY d.last_failed_at DESC, d.projection DESC, d.topic DESC, d.partition DESC, d."offset" DESC
LIMIT $18

-- name: count_letters
SELECT d.code, count(*) AS letters, min(d.first_failed_at) AS oldest, coalesce(sum(b.behind), 0)::bigint AS behind
FROM runtime.dead_letters d
LEFT JOIN LATERAL (
    SELECT count(*) AS behind FROM runtime.parked_events p
    WHERE d.subject IS NOT NULL AND p.behind AND p.projection = d.projection AND p.waits_for = d.event_id::uuid
) AS b ON true
WHERE ($1::text[] IS NULL AND $2::text[] IS NULL OR d.event_id = ANY ($1::text[])
       OR d.topic || '/' || d.partition || '/' || d."offset" = ANY ($2::text[]))
  AND ($3::text IS NULL OR d.projection = $3) AND ($4::text[] IS NULL OR d.code = ANY ($4::text[]))
  AND ($5::text[] IS NULL OR d.event_type = ANY ($5::text[])) AND ($6::text IS NULL OR d.workspace_id = $6)
  AND ($7::timestamptz IS NULL OR d.last_failed_at >= $7) AND ($8::timestamptz IS NULL OR d.last_failed_at < $8)
  AND ($9::text IS NULL OR d.topic = $9) AND ($10::int IS NULL OR d.partition = $10) AND ($11::bytea IS NULL OR d.key = $11)
  AND (NOT $12::bool OR d.resolved_at IS NULL)
GROUP BY d.code ORDER BY d.code

-- name: next_letters
-- In the order of the log, so that what is redriven keeps it; $13 to $16 are where the part before ended, $17 how many.
SELECT d.projection, d.topic, d.partition, d."offset", d.key, d.raw, d.headers, d.attempts
FROM runtime.dead_letters d
WHERE ($1::text[] IS NULL AND $2::text[] IS NULL OR d.event_id = ANY ($1::text[])
       OR d.topic || '/' || d.partition || '/' || d."offset" = ANY ($2::text[]))
  AND ($3::text IS NULL OR d.projection = $3) AND ($4::text[] IS NULL OR d.code = ANY ($4::text[]))
  AND ($5::text[] IS NULL OR d.event_type = ANY ($5::text[])) AND ($6::text IS NULL OR d.workspace_id = $6)
  AND ($7::timestamptz IS NULL OR d.last_failed_at >= $7) AND ($8::timestamptz IS NULL OR d.last_failed_at < $8)
  AND ($9::text IS NULL OR d.topic = $9) AND ($10::int IS NULL OR d.partition = $10) AND ($11::bytea IS NULL OR d.key = $11)
  AND (NOT $12::bool OR d.resolved_at IS NULL)
  AND ($13::text IS NULL OR (d.topic, d.partition, d."offset", d.projection) > ($13::text, $14::int, $15::bigint, $16::text))
ORDER BY d.topic, d.partition, d."offset", d.projection
LIMIT $17

-- name: letter_contents
SELECT d.key, d.raw, d.headers, d.history
FROM runtime.dead_letters d
WHERE d.projection = $1 AND d.topic = $2 AND d.partition = $3 AND d."offset" = $4

-- name: events_behind
SELECT p.event_id, p.type, p.topic, p.partition, p."offset", p.parked_at
FROM runtime.parked_events p
WHERE p.projection = $1 AND p.waits_for = $2::uuid AND p.behind
ORDER BY p.topic, p.partition, p."offset" LIMIT $3

-- name: note_on_letters
-- $5 what was done, $6 by whom, $7 why
UPDATE runtime.dead_letters d
SET history = d.history || jsonb_strip_nulls(jsonb_build_object('at', now(), 'what', $5::text, 'by', $6::text, 'why', $7::text))
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS k (projection, topic, partition, "offset")
WHERE d.projection = k.projection AND d.topic = k.topic AND d.partition = k.partition AND d."offset" = k."offset"

-- name: hold_positions
-- Nobody moves these positions until the transaction ends: what was read before it and what after it stays apart.
SELECT p.projection, p.topic, p.partition, p.next_offset
FROM runtime.progress p
WHERE (p.projection, p.topic, p.partition) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::int[]))
ORDER BY p.projection, p.version, p.topic, p.partition
FOR UPDATE

-- name: discard_letters
UPDATE runtime.dead_letters d
SET resolved_at = now(), resolution = 'discarded', resolved_by = $5, resolved_reason = $6,
    void_until = coalesce((SELECT max(p.next_offset) FROM runtime.progress p
                           WHERE p.projection = d.projection AND p.topic = d.topic AND p.partition = d.partition),
                          d."offset" + 1),
    history = d.history || jsonb_build_object('at', now(), 'what', 'discarded', 'by', $5::text, 'why', $6::text)
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS k (projection, topic, partition, "offset")
WHERE d.projection = k.projection AND d.topic = k.topic AND d.partition = k.partition AND d."offset" = k."offset"
  AND d.resolved_at IS NULL
RETURNING d.topic, d.partition, d."offset"

-- name: letters_since
-- How redriven letters stand: resolved, or refused more often than before.
SELECT count(*) FILTER (WHERE d.resolved_at IS NOT NULL) AS applied,
       count(*) FILTER (WHERE d.resolved_at IS NULL AND d.attempts > k.attempts) AS refused_again
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::int[]) AS k (projection, topic, partition, "offset", attempts)
JOIN runtime.dead_letters d
  ON d.projection = k.projection AND d.topic = k.topic AND d.partition = k.partition AND d."offset" = k."offset"

-- name: clock
SELECT now() AS now

-- name: gather_letters
-- Letters that are in the topic already, so nobody relays them.
INSERT INTO runtime.dead_letters
    (projection, topic, partition, "offset", key, code, reason, raw, headers, event_type, event_id, workspace_id, attempts,
     first_failed_at, last_failed_at, append_time, relayed_at)
SELECT projection, topic, partition, "offset", key, code, reason, raw, headers, event_type, event_id, workspace_id, attempts,
       first_failed_at, first_failed_at, append_time, now()
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], $9::jsonb[],
            $10::text[], $11::text[], $12::text[], $13::int[], $14::timestamptz[], $15::timestamptz[])
    AS n (projection, topic, partition, "offset", key, code, reason, raw, headers, event_type, event_id, workspace_id,
          attempts, first_failed_at, append_time)
ON CONFLICT (projection, topic, partition, "offset") DO NOTHING
RETURNING 1
