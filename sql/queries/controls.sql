-- name: report
-- What a worker says of itself, and what is asked of it, in one round trip.
WITH said AS (
    INSERT INTO runtime.worker_reports AS w
        (projection, version, owner, obeys, in_hand, partitions, applied, rate, last_error, last_error_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10::bool THEN now() END)
    ON CONFLICT (projection, version, owner) DO UPDATE
    SET seen_at = now(), obeys = excluded.obeys, in_hand = excluded.in_hand, partitions = excluded.partitions,
        applied = excluded.applied, rate = excluded.rate, last_error = excluded.last_error,
        last_error_at = coalesce(excluded.last_error_at, w.last_error_at)
)
SELECT coalesce((SELECT c.state FROM runtime.projection_controls c WHERE c.projection = $1 AND c.version = $2), 'running')

-- name: forget_reports
-- One's own; and those of processes that were killed long ago.
DELETE FROM runtime.worker_reports
WHERE projection = $1 AND version = $2 AND (owner = $3 OR seen_at < now() - $4 * interval '1 second')

-- name: ended_with
UPDATE runtime.worker_reports SET last_error = $4, last_error_at = now(), in_hand = 0, rate = NULL, seen_at = now() - interval '1 hour'
WHERE projection = $1 AND version = $2 AND owner = $3

-- name: all_controls
SELECT projection, version, state, reason, actor, at FROM runtime.projection_controls

-- name: all_reports
SELECT projection, version, owner, started_at, seen_at, obeys, in_hand, partitions, applied, rate, last_error, last_error_at,
       seen_at < now() - $1 * interval '1 second' AS is_silent
FROM runtime.worker_reports

-- name: set_control
WITH before AS (SELECT state, reason, actor, at FROM runtime.projection_controls WHERE projection = $1 AND version = $2), put AS (
    INSERT INTO runtime.projection_controls AS c (projection, version, state, reason, actor) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (projection, version) DO UPDATE
    SET state = excluded.state, reason = excluded.reason, actor = excluded.actor, at = now()
)
SELECT b.state, b.reason, b.actor, b.at FROM (SELECT) AS one LEFT JOIN before b ON true

-- name: confirm_drained
UPDATE runtime.projection_controls SET state = 'drained' WHERE projection = $1 AND version = $2 AND state = 'paused'
RETURNING state

-- name: fence_all
-- Whoever wakes with a batch in hand after this finds a younger epoch and cannot apply it.
UPDATE runtime.progress SET epoch = epoch + 1 WHERE projection = $1 AND version = $2
