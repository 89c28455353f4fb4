-- What one version takes over from the other at a switch. `collab` and its like are the version that was live, and
-- `{next}` is the quoted name of the other one's runtime schema.

-- name: hold_workers
-- Every batch begins and every follower ends with a change of progress: they wait here, holding nothing that we need.
-- The indexer takes a row lock on search_state before it; two kinds of locks, because nobody but it is to wait there.
LOCK TABLE runtime.search_state IN EXCLUSIVE MODE;
LOCK TABLE runtime.progress IN SHARE ROW EXCLUSIVE MODE

-- name: take_positions
-- Both stand at the same offsets: with the epoch and the owner, workers go on as if nothing had happened.
UPDATE {next}.progress n
SET epoch = p.epoch, owner = p.owner, updated_at = p.updated_at, event_time = p.event_time, append_time = p.append_time,
    halted_code = p.halted_code, halted_reason = p.halted_reason, halted_at = p.halted_at
FROM runtime.progress p
WHERE n.projection = $1 AND (p.projection, p.version, p.topic, p.partition) = (n.projection, n.version, n.topic, n.partition)

-- name: forget_followers
DELETE FROM {next}.progress WHERE projection <> $1

-- name: take_followers
INSERT INTO {next}.progress SELECT * FROM runtime.progress WHERE projection <> $1

-- name: forget_letters_of_followers
DELETE FROM {next}.dead_letters WHERE projection <> $1

-- name: take_letters_of_followers
INSERT INTO {next}.dead_letters SELECT * FROM runtime.dead_letters WHERE projection <> $1

-- name: take_fates_of_letters
-- What became of the same letter: that it is in the topic already, how often it was tried, what somebody decided.
UPDATE {next}.dead_letters n
SET relayed_at = p.relayed_at, attempts = p.attempts, first_failed_at = p.first_failed_at, last_failed_at = p.last_failed_at,
    resolved_at = p.resolved_at, resolution = p.resolution, resolved_by = p.resolved_by, resolved_reason = p.resolved_reason,
    void_until = p.void_until, history = p.history
FROM runtime.dead_letters p
WHERE n.projection = $1 AND n.code = p.code
  AND (p.projection, p.topic, p.partition, p."offset") = (n.projection, n.topic, n.partition, n."offset")

-- name: take_orphans
-- Events that were given up after they had waited for too long: in the other version they wait still.
INSERT INTO {next}.dead_letters
SELECT p.* FROM runtime.dead_letters p
WHERE p.projection = $1 AND p.code = 'E_ORPHAN'
  AND EXISTS (SELECT FROM {next}.parked_events w WHERE w.projection = $1 AND w.event_id::text = p.event_id)
ON CONFLICT DO NOTHING

-- name: unpark_orphans
DELETE FROM {next}.parked_events w USING runtime.dead_letters p
WHERE w.projection = $1 AND p.projection = $1 AND p.code = 'E_ORPHAN' AND p.event_id = w.event_id::text

-- name: take_waiting_times
UPDATE {next}.parked_events n SET parked_at = p.parked_at
FROM runtime.parked_events p WHERE p.projection = n.projection AND p.event_id = n.event_id AND n.projection = $1
