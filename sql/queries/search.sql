-- The search worker's own state: layout of the indices, jobs, and how far PostgreSQL is.

-- name: read_layout
SELECT s.layout_epoch, s.history_epoch, s.cluster,
       (SELECT jsonb_agg(jsonb_build_array(g.alias, g.generation, g.state) ORDER BY g.alias, g.generation)
        FROM runtime.search_generations g) AS generations,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(r.workspace_id, r.route, r.moving_to)), '[]')
        FROM runtime.search_routes r WHERE r.route <> 'shared' OR r.moving_to IS NOT NULL) AS routes
FROM runtime.search_state s

-- name: read_layout_epoch
SELECT layout_epoch, cluster FROM runtime.search_state

-- name: hold_layout_epoch
-- Shared, so that nobody changes the layout between this comparison and the commit behind it.
SELECT layout_epoch FROM runtime.search_state FOR SHARE

-- name: raise_layout_epoch
UPDATE runtime.search_state SET layout_epoch = layout_epoch + 1 RETURNING layout_epoch

-- name: lock_making
SELECT pg_advisory_xact_lock(hashtextextended('tailrace.search_indices', 0))

-- name: mark_made
-- Whether the indices were made for the first time.
UPDATE runtime.search_state SET made_at = now() WHERE made_at IS NULL RETURNING made_at

-- name: note_cluster
-- A row with the cluster before, where it is another one now.
UPDATE runtime.search_state s SET cluster = $1
FROM (SELECT cluster FROM runtime.search_state FOR UPDATE) AS was
WHERE was.cluster IS DISTINCT FROM $1
RETURNING was.cluster

-- name: postgres_behind
-- Records of these partitions that PostgreSQL has still to apply, up to the offsets given.
SELECT coalesce(sum(greatest(0, k.reached - coalesce(p.next_offset, 0))), 0)::bigint
FROM unnest($3::text[], $4::int[], $5::bigint[]) AS k (topic, partition, reached)
LEFT JOIN runtime.progress p
    ON p.projection = $1 AND p.version = $2 AND p.topic = k.topic AND p.partition = k.partition

-- name: conversations_reached
-- No posting at or behind this offset of any partition was indexed yet.
SELECT coalesce(max(next_offset), 0) FROM runtime.progress WHERE projection = $1 AND version = $2 AND topic = $3

-- name: request_job
INSERT INTO runtime.search_jobs AS j (kind, subject) VALUES ($1, $2)
ON CONFLICT (kind, subject) DO UPDATE SET
    requests = j.requests + 1,
    serves = CASE WHEN j.state IN ('done', 'failed') THEN j.requests + 1 ELSE j.serves END,
    position = CASE WHEN j.state IN ('done', 'failed') THEN '{}' ELSE j.position END,
    documents = CASE WHEN j.state IN ('done', 'failed') THEN 0 ELSE j.documents END,
    refused = CASE WHEN j.state IN ('done', 'failed') THEN 0 ELSE j.refused END,
    documents_estimate = CASE WHEN j.state IN ('done', 'failed') THEN NULL ELSE j.documents_estimate END,
    state = CASE WHEN j.state IN ('done', 'failed') THEN 'waiting' ELSE j.state END,
    reason = NULL, requested_at = now(), updated_at = now()

-- name: claim_job
-- At its beginning a job serves everybody who has asked so far: it reads what they wrote.
UPDATE runtime.search_jobs
SET state = 'running', owner = $1, leased_until = now() + $2 * interval '1 second',
    serves = CASE WHEN position = '{}' THEN requests ELSE serves END
WHERE (kind, subject) = (
    SELECT j.kind, j.subject FROM runtime.search_jobs j
    WHERE (j.state = 'waiting' OR (j.state = 'running' AND j.leased_until < now()))
      AND ($3::text IS NULL OR (j.kind = $3 AND j.subject = $4))
    ORDER BY j.requested_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING kind, subject, position, documents_estimate

-- name: estimate_job
UPDATE runtime.search_jobs SET documents = 0, documents_estimate = $4
WHERE kind = $1 AND subject = $2 AND owner = $3 AND state = 'running'

-- name: advance_job
UPDATE runtime.search_jobs
SET position = $4, documents = documents + $5, refused = refused + $6, updated_at = now(),
    leased_until = now() + $7 * interval '1 second'
WHERE kind = $1 AND subject = $2 AND owner = $3 AND state = 'running'
RETURNING serves

-- name: finish_job
-- Done, unless it was asked for again meanwhile: then it begins again.
UPDATE runtime.search_jobs
SET state = CASE WHEN requests > serves THEN 'waiting' ELSE 'done' END,
    position = CASE WHEN requests > serves THEN '{}' ELSE position END,
    documents = CASE WHEN requests > serves THEN 0 ELSE documents END,
    documents_estimate = CASE WHEN requests > serves THEN NULL ELSE documents_estimate END,
    serves = requests, owner = NULL, leased_until = NULL, updated_at = now()
WHERE kind = $1 AND subject = $2 AND owner = $3 AND state = 'running'
RETURNING state

-- name: fail_job
UPDATE runtime.search_jobs
SET state = 'failed', reason = $4, owner = NULL, leased_until = NULL, updated_at = now()
WHERE kind = $1 AND subject = $2 AND owner = $3

-- name: release_job
UPDATE runtime.search_jobs SET state = 'waiting', owner = NULL, leased_until = NULL, updated_at = now()
WHERE kind = $1 AND subject = $2 AND owner = $3 AND state = 'running'

-- name: jobs
SELECT kind, subject, state, documents, documents_estimate, refused, reason, position, requested_at, updated_at
FROM runtime.search_jobs ORDER BY requested_at

-- name: open_jobs
SELECT count(*) FROM runtime.search_jobs WHERE state IN ('waiting', 'running')

-- name: begin_move
INSERT INTO runtime.search_routes AS r (workspace_id, moving_to) VALUES ($1, $2)
ON CONFLICT (workspace_id) DO UPDATE SET moving_to = excluded.moving_to, changed_at = now()

-- name: switch_move
-- Shown from the new place; the old one is still written until everybody knows.
UPDATE runtime.search_routes SET route = moving_to, moving_to = route, changed_at = now()
WHERE workspace_id = $1 AND moving_to = $2

-- name: end_move
UPDATE runtime.search_routes SET moving_to = NULL, changed_at = now() WHERE workspace_id = $1

-- name: mark_high_volume
INSERT INTO runtime.search_routes AS r (workspace_id, is_high_volume) VALUES ($1, $2)
ON CONFLICT (workspace_id) DO UPDATE SET is_high_volume = excluded.is_high_volume

-- name: begin_generation
-- One at a time: where one is being built, that one goes on.
INSERT INTO runtime.search_generations (alias, generation, state)
SELECT $1, max(generation) + 1, 'building' FROM runtime.search_generations WHERE alias = $1::text
ON CONFLICT DO NOTHING

-- name: generations
SELECT alias, generation, state, created_at FROM runtime.search_generations ORDER BY alias, generation

-- name: keep_live
UPDATE runtime.search_generations SET state = 'kept' WHERE alias = $1 AND state = 'live'

-- name: show_generation
UPDATE runtime.search_generations SET state = 'live' WHERE alias = $1 AND generation = $2

-- name: drop_generation
DELETE FROM runtime.search_generations WHERE alias = $1 AND generation = $2 AND state <> 'live' RETURNING generation

-- name: raise_history_epoch
UPDATE runtime.search_state SET history_epoch = history_epoch + 1, layout_epoch = layout_epoch + 1

-- name: one_member_count
SELECT coalesce(w.member_count, 0) AS member_count, coalesce(r.route, 'shared') AS route, r.moving_to,
       coalesce(r.is_high_volume, false) AS is_high_volume,
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now
FROM (SELECT $1::uuid AS workspace_id) AS k
LEFT JOIN collab.workspaces w ON w.workspace_id = k.workspace_id
LEFT JOIN runtime.search_routes r ON r.workspace_id = k.workspace_id
