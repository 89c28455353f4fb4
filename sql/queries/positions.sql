-- name: stored_positions
SELECT topic, partition, next_offset, owner, event_time, append_time, updated_at, halted_code, halted_reason
FROM runtime.progress WHERE projection = $1 AND version = $2

-- name: set_aside
SELECT (SELECT count(*) FROM runtime.dead_letters WHERE projection = $1 AND resolved_at IS NULL) AS dead_letters,
       (SELECT count(*) FROM runtime.parked_events WHERE projection = $1) AS parked

-- name: newest_letters
SELECT DISTINCT ON (projection) projection, code, reason, last_failed_at
FROM runtime.dead_letters WHERE resolved_at IS NULL ORDER BY projection, last_failed_at DESC

-- name: announce
INSERT INTO runtime.progress (projection, version, topic, partition, next_offset)
SELECT $1, $2, t.topic, t.partition, t.beginning FROM unnest($3::text[], $4::int[], $5::bigint[]) AS t (topic, partition, beginning)
ON CONFLICT DO NOTHING

-- name: open_search_jobs
-- Names still being spread and workspaces still moving: part of what a search shows of the log so far. Failed jobs wait
-- for an operator, rebuilds show nothing until they are switched to.
SELECT count(*) AS jobs FROM runtime.search_jobs WHERE state IN ('waiting', 'running') AND kind <> 'rebuild'

-- name: change_progress
-- A new epoch fences whoever owns the partition now; without a fingerprint the log is taken as it is.
WITH before AS (
    SELECT * FROM runtime.progress WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4 FOR UPDATE
), changed AS (
    INSERT INTO runtime.progress AS p (projection, version, topic, partition, next_offset)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (projection, version, topic, partition) DO UPDATE
    SET next_offset = excluded.next_offset, epoch = p.epoch + 1, fingerprint = NULL, updated_at = now(),
        halted_code = NULL, halted_reason = NULL, halted_at = NULL
)
INSERT INTO runtime.progress_changes
    (projection, version, topic, partition, action, next_offset_before, next_offset_after, halted_code, halted_reason,
     changed_by, reason)
SELECT $1, $2, $3, $4, $6, b.next_offset, $5, b.halted_code, b.halted_reason, $7, $8
FROM (SELECT) AS one LEFT JOIN before b ON true

-- name: progress_changes
SELECT changed_at, projection, version, topic, partition, action, next_offset_before, next_offset_after, halted_code,
       halted_reason, changed_by, reason
FROM runtime.progress_changes ORDER BY changed_at DESC LIMIT $1
