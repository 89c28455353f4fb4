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
