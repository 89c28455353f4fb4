-- name: stored_positions
SELECT topic, partition, next_offset, owner, event_time, append_time, updated_at, halted_code, halted_reason
FROM runtime.progress WHERE projection = $1 AND version = $2

-- name: announce
INSERT INTO runtime.progress (projection, version, topic, partition, next_offset)
SELECT $1, $2, t.topic, t.partition, t.beginning FROM unnest($3::text[], $4::int[], $5::bigint[]) AS t (topic, partition, beginning)
ON CONFLICT DO NOTHING

-- name: set_aside
SELECT (SELECT count(*) FROM runtime.dead_letters WHERE projection = $1 AND resolved_at IS NULL) AS dead_letters,
       (SELECT count(*) FROM runtime.parked_events WHERE projection = $1) AS parked

-- name: open_search_jobs
-- Names still being spread and workspaces still moving: part of what a search shows of the log so far. Failed jobs wait
-- for an operator, rebuilds show nothing until they are switched to.
SELECT count(*) AS jobs FROM runtime.search_jobs WHERE state IN ('waiting', 'running') AND kind <> 'rebuild'
