-- name: letters_of
SELECT projection, topic, partition, "offset", code, reason, attempts, first_failed_at, last_failed_at, resolved_at, resolution
FROM runtime.dead_letters WHERE event_id = $1 ORDER BY projection, topic, partition, "offset"

-- name: parked_of
SELECT projection, topic, partition, "offset", waits_for::text AS waits_for, behind, parked_at
FROM runtime.parked_events WHERE event_id = $1::uuid ORDER BY projection
