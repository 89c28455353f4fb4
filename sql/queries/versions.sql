-- Versions of the read models, and the switch between two of them.

-- name: versions
SELECT version, state, reason, created_by, created_at, ready_at, live_at, kept_until, dropped_at, comparison
FROM runtime.versions ORDER BY version

-- name: cutovers
SELECT cutover_id, from_version, to_version, is_rollback, actor, reason, positions, search, cache_generation, held_ms, at,
       finished_at
FROM runtime.cutovers ORDER BY cutover_id DESC LIMIT $1

-- name: unfinished_cutovers
SELECT cutover_id, cache_generation FROM runtime.cutovers WHERE finished_at IS NULL ORDER BY cutover_id

-- name: finish_cutovers
UPDATE runtime.cutovers SET finished_at = now() WHERE finished_at IS NULL AND cutover_id <= $1

-- name: begin_version
INSERT INTO runtime.versions (version, state, reason, created_by)
SELECT max(version) + 1, 'filling', $1, $2 FROM runtime.versions
RETURNING version

-- name: version_ready
UPDATE runtime.versions SET state = 'ready', ready_at = coalesce(ready_at, now()) WHERE version = $1 AND state = 'filling'

-- name: version_compared
UPDATE runtime.versions SET comparison = $2 WHERE version = $1

-- name: version_dropped
UPDATE runtime.versions SET state = 'dropped', dropped_at = now() WHERE version = $1 AND state IN ('filling', 'ready', 'kept')

-- name: swap_versions
-- The live version is kept until $3, the other one becomes live.
WITH left_ AS (
    UPDATE runtime.versions SET state = 'kept', kept_until = $3 WHERE version = $1 AND state = 'live' RETURNING version
)
UPDATE runtime.versions SET state = 'live', live_at = now(), kept_until = NULL
WHERE version = $2 AND EXISTS (SELECT FROM left_)
RETURNING version

-- name: record_cutover
INSERT INTO runtime.cutovers
    (from_version, to_version, is_rollback, actor, reason, positions, search, cache_generation, held_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING cutover_id

-- name: open_cache_generation
-- From COMMIT on every stamp begins with this number. Nobody holds it yet: whoever comes first fills the caches.
INSERT INTO runtime.cache_rebuilds (scope, reason, heartbeat_at)
VALUES ('everything', 'another version became live', '-infinity')
ON CONFLICT DO NOTHING
RETURNING generation

-- name: close_cache_rebuild
-- One that is under way would end under the old generation: the new one does all of it.
UPDATE runtime.cache_rebuilds SET finished_at = now() WHERE finished_at IS NULL AND scope = 'everything'

-- name: raise_search_epochs
UPDATE runtime.search_state SET history_epoch = history_epoch + 1, layout_epoch = layout_epoch + 1 RETURNING made_at

-- name: search_generations
SELECT alias, generation, state FROM runtime.search_generations ORDER BY alias, generation

-- name: keep_shown_generation
UPDATE runtime.search_generations SET state = 'kept' WHERE alias = $1 AND state = 'live'

-- name: show_generation
UPDATE runtime.search_generations SET state = 'live' WHERE alias = $1 AND generation = $2

-- name: request_refill
INSERT INTO runtime.search_jobs AS j (kind, subject) VALUES ('refill', $1)
ON CONFLICT (kind, subject) DO UPDATE SET
    requests = j.requests + 1,
    serves = CASE WHEN j.state IN ('done', 'failed') THEN j.requests + 1 ELSE j.serves END,
    position = CASE WHEN j.state IN ('done', 'failed') THEN '{}' ELSE j.position END,
    documents = CASE WHEN j.state IN ('done', 'failed') THEN 0 ELSE j.documents END,
    refused = CASE WHEN j.state IN ('done', 'failed') THEN 0 ELSE j.refused END,
    state = CASE WHEN j.state IN ('done', 'failed') THEN 'waiting' ELSE j.state END,
    reason = NULL, requested_at = now(), updated_at = now()

-- name: what_is_used
SELECT (SELECT made_at IS NOT NULL FROM runtime.search_state) AS search,
       EXISTS (SELECT FROM runtime.progress WHERE projection = 'redis') AS caches

-- name: built_generations
-- A new generation is complete when the job that fills it is done.
SELECT g.alias, g.generation FROM runtime.search_generations g
JOIN runtime.search_jobs j ON j.kind = 'rebuild' AND j.subject = g.alias AND j.state = 'done'
WHERE g.state = 'building'

-- name: open_cache_rebuilds
SELECT generation FROM runtime.cache_rebuilds WHERE scope = 'everything' AND finished_at IS NULL
