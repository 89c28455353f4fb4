-- name: open_job
-- No row: one of this kind and target is open already.
INSERT INTO runtime.jobs (job_id, kind, target, spec, requested_by, reason)
SELECT lpad(n::text, greatest(4, length(n::text)), '0') || '-' || $1, $1, $2, $3, $4, $5
FROM nextval('runtime.job_numbers'::regclass) AS n
ON CONFLICT (kind, target) WHERE state IN ('waiting', 'running', 'paused') DO NOTHING
RETURNING *

-- name: open_of
SELECT * FROM runtime.jobs WHERE kind = $1 AND target = $2 AND state IN ('waiting', 'running', 'paused')

-- name: get_job
-- By the whole id or its number alone.
SELECT * FROM runtime.jobs WHERE job_id = $1::text OR split_part(job_id, '-', 1) = lpad($1::text, greatest(4, length($1::text)), '0')

-- name: list_jobs
SELECT * FROM runtime.jobs
WHERE ($1::text IS NULL OR kind = $1) AND (NOT $2::bool OR state IN ('waiting', 'running', 'paused'))
ORDER BY created_at DESC, job_id DESC LIMIT $3

-- name: claim_job
-- What waits, or what an owner has not been heard of for $3 seconds.
UPDATE runtime.jobs
SET state = 'running', owner = $2, heartbeat_at = now(), started_at = coalesce(started_at, now()), asked = NULL
WHERE job_id = $1 AND (state = 'waiting' OR (state = 'running' AND heartbeat_at < now() - $3 * interval '1 second'))
RETURNING job_id

-- name: heartbeat
-- What was asked meanwhile is done here: the state the owner finds afterwards says so.
UPDATE runtime.jobs AS j
SET heartbeat_at = now(), progress = j.progress || $3, asked = NULL,
    state = CASE j.asked WHEN 'pause' THEN 'paused' WHEN 'cancel' THEN 'cancelled' ELSE 'running' END,
    owner = CASE WHEN j.asked IS NULL THEN j.owner END,
    finished_at = CASE WHEN j.asked = 'cancel' THEN now() END
WHERE job_id = $1 AND owner = $2 AND state = 'running'
RETURNING state

-- name: append_log
UPDATE runtime.jobs
SET log = (log || jsonb_build_object('at', now(), 'text', $2::text))
          - CASE WHEN jsonb_array_length(log) >= $3::int THEN 0 ELSE 2147483647 END  -- the oldest, or none
WHERE job_id = $1

-- name: finish_job
UPDATE runtime.jobs
SET state = CASE WHEN $4::text IS NULL THEN 'done' ELSE 'failed' END, outcome = $3, error = $4, owner = NULL,
    asked = NULL, finished_at = now()
WHERE job_id = $1 AND owner = $2 AND state = 'running'
RETURNING state

-- name: release_job
UPDATE runtime.jobs SET state = $3, owner = NULL, asked = NULL WHERE job_id = $1 AND owner = $2 AND state = 'running'
RETURNING state

-- name: ask_job
-- A living owner does it at its next safe point; where nobody is at it, it is done here.
UPDATE runtime.jobs AS j
SET asked = CASE WHEN is_alive THEN $2 END,
    state = CASE WHEN is_alive THEN j.state WHEN $2 = 'pause' THEN 'paused' ELSE 'cancelled' END,
    owner = CASE WHEN is_alive THEN j.owner END,
    finished_at = CASE WHEN NOT is_alive AND $2 = 'cancel' THEN now() END
FROM (
    SELECT job_id, state = 'running' AND heartbeat_at >= now() - $3 * interval '1 second' AS is_alive
    FROM runtime.jobs WHERE job_id = $1 FOR UPDATE
) AS o
WHERE j.job_id = o.job_id AND j.state IN ('waiting', 'running', 'paused')
RETURNING j.*

-- name: resume_job
UPDATE runtime.jobs SET state = 'waiting', error = NULL, finished_at = NULL, asked = NULL
WHERE job_id = $1 AND state IN ('paused', 'failed')
RETURNING *

-- name: silence
SELECT extract(epoch FROM now() - heartbeat_at)::float8 AS seconds FROM runtime.jobs WHERE job_id = $1
