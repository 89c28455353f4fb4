-- name: claim
-- A new epoch for each partition: from now on only this owner can move its progress. A partition that is not known
-- starts at $5, the beginning of its log, never at "latest".
INSERT INTO runtime.progress AS p (projection, version, topic, partition, next_offset, epoch, owner, updated_at)
SELECT $1, $2, t.topic, t.partition, t.beginning, 1, $6, now()
FROM unnest($3::text[], $4::int[], $5::bigint[]) AS t (topic, partition, beginning)
ORDER BY t.topic, t.partition
ON CONFLICT (projection, version, topic, partition) DO UPDATE SET epoch = p.epoch + 1, owner = excluded.owner, updated_at = now()
RETURNING topic, partition, next_offset, epoch, fingerprint, halted_code

-- name: advance
-- The first statement of every transaction. Compare-and-set: a partition of which no row comes back was moved or
-- claimed by somebody else, and everything is rolled back. The arrays come sorted, so that two owners of the same
-- partitions queue instead of deadlocking. A batch without records (it releases what waited) moves nothing.
UPDATE runtime.progress p
SET next_offset = b.reached, updated_at = now(),
    fingerprint = CASE WHEN b.reached = b.expected THEN p.fingerprint ELSE b.fingerprint END,
    event_time = greatest(p.event_time, b.event_time), append_time = greatest(p.append_time, b.append_time)
FROM unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::timestamptz[], $10::timestamptz[])
    AS b (topic, partition, epoch, expected, reached, fingerprint, event_time, append_time)
WHERE p.projection = $1 AND p.version = $2 AND p.topic = b.topic AND p.partition = b.partition
  AND p.epoch = b.epoch AND p.next_offset = b.expected AND p.halted_code IS NULL
RETURNING p.topic, p.partition

-- name: positions
SELECT topic, partition, next_offset, epoch, owner, fingerprint, event_time, append_time, updated_at,
       halted_code, halted_reason, halted_at
FROM runtime.progress WHERE projection = $1 AND version = $2
ORDER BY topic, partition

-- name: halt
UPDATE runtime.progress SET halted_code = $5, halted_reason = $6, halted_at = now(), updated_at = now()
WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4

-- name: lift_halt
UPDATE runtime.progress SET halted_code = NULL, halted_reason = NULL, halted_at = NULL
WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4
