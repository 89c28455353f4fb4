-- name: hold
-- Takes the lease, or keeps it: one row where it is ours, for $2 seconds.
UPDATE {schema}.tailrace_outbox_relay
SET owner = $1, expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE owner = $1 OR owner IS NULL OR expires_at < clock_timestamp()
RETURNING true

-- name: release
UPDATE {schema}.tailrace_outbox_relay SET owner = NULL, expires_at = '-infinity' WHERE owner = $1

-- name: last_position
-- Not a snapshot's view: every position drawn so far, by whomever, whether or not it was committed.
SELECT last_value FROM {schema}.tailrace_outbox_position

-- name: horizon
-- Transactions with ids below the first have ended, those from the second on did not begin yet.
SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() AS s

-- name: due
-- At most $3 rows and $4 bytes, but one row at least.
SELECT position, event
FROM (
    SELECT position, event::text AS event, sum(bytes) OVER (ORDER BY position) - bytes AS before
    FROM (
        SELECT position, event, bytes
        FROM {schema}.tailrace_outbox
        WHERE position > $1 AND position <= $2 AND refused_code IS NULL
        ORDER BY position
        LIMIT $3
    ) AS oldest
) AS summed
WHERE before < $4
ORDER BY position

-- name: acknowledge
WITH gone AS (
    DELETE FROM {schema}.tailrace_outbox WHERE position = ANY ($1::bigint[]) RETURNING 1
)
UPDATE {schema}.tailrace_outbox_relay
SET published = published + (SELECT count(*) FROM gone), last_published_at = clock_timestamp()

-- name: refuse
UPDATE {schema}.tailrace_outbox SET refused_code = $2, refused_reason = $3 WHERE position = $1
