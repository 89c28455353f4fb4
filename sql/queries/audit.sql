-- name: begin
INSERT INTO runtime.audit (actor, command, target, reason, before, outcome) VALUES ($1, $2, $3, $4, $5, 'begun')
RETURNING id

-- name: finish
UPDATE runtime.audit SET ended_at = now(), target = $2, before = $3, after = $4, outcome = $5, error = $6 WHERE id = $1
RETURNING id

-- name: record
INSERT INTO runtime.audit (actor, command, target, reason, before, after, outcome, error, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
RETURNING id

-- name: entries
SELECT id, at, ended_at, actor, command, target, reason, before, after, outcome, error
FROM runtime.audit
WHERE ($1::timestamptz IS NULL OR at >= $1) AND ($2::text IS NULL OR actor = $2)
  AND ($3::text IS NULL OR command = $3 OR command LIKE $3 || ' %')
ORDER BY id DESC LIMIT $4
