-- The keeper of monthly partitions; what it may not get wrong is in the migration 0002_partition_keeper.

-- name: ensure_month
SELECT runtime.ensure_month($1::text::regclass, $2::date)

-- name: known_months
SELECT written.name, month
FROM unnest($1::text[], $2::text[]) AS written (name, qualified)
CROSS JOIN LATERAL runtime.known_months(written.qualified::regclass) AS month

-- name: partitions
-- Every partition of the two schemas, and tables that look like months but hang nowhere. Times as text: the end of
-- the last month, 10000-01-01, is no date in Python.
WITH parents AS (
    SELECT c.oid, c.relnamespace, n.nspname, c.relname
    FROM pg_partitioned_table t
    JOIN pg_class c ON c.oid = t.partrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[])
), children AS (
    SELECT p.oid AS parent, i.inhrelid AS child, CASE WHEN i.inhdetachpending THEN 'detaching' ELSE 'attached' END AS state
    FROM parents p
    JOIN pg_inherits i ON i.inhparent = p.oid
    UNION ALL
    SELECT p.oid, c.oid, 'detached'
    FROM parents p
    JOIN pg_class c ON c.relnamespace = p.relnamespace AND c.relkind = 'r' AND NOT c.relispartition
        AND c.relname ~ ('^' || p.relname || '_[0-9]{4,5}_[0-9]{2}(_retired_[0-9t]+)?$')
)
SELECT format('%s.%s', p.nspname, p.relname) AS "table",
       format('%s.%s', p.nspname, c.relname) AS partition,
       ch.state,
       to_char(m.from_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS from_at,
       to_char(m.to_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS to_at,
       CASE WHEN NOT coalesce(isfinite(m.from_at) AND isfinite(m.to_at), false)
            THEN pg_get_expr(c.relpartbound, c.oid) END AS bounds,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows_estimate,
       pg_total_relation_size(c.oid) AS bytes,
       (SELECT count(*) FROM pg_index x WHERE x.indrelid = c.oid) AS indexes
FROM children ch
JOIN parents p ON p.oid = ch.parent
JOIN pg_class c ON c.oid = ch.child
LEFT JOIN LATERAL runtime.month_partitions(p.oid) m ON m.partition = c.oid
ORDER BY p.nspname, p.relname, ch.state, m.from_at, length(c.relname), c.relname

-- name: months_before
-- Unfinished removals come first, there can be one for each table; tables that a removal detached and did not rename
-- come as well.
SELECT c.relname
FROM pg_class parent
JOIN pg_class c ON c.relnamespace = parent.relnamespace AND c.relkind = 'r'
LEFT JOIN runtime.month_partitions(parent.oid) m ON m.partition = c.oid
WHERE parent.oid = $1::text::regclass
  AND (m.to_at <= $2::date::timestamp AT TIME ZONE 'UTC'
       OR (NOT c.relispartition AND c.relname ~ ('^' || parent.relname || '_[0-9]{4}_[0-9]{2}$')
           AND right(c.relname, 7) < to_char($2::date, 'YYYY_MM')))
ORDER BY m.detaching IS TRUE DESC, c.relname

-- name: detach_state
SELECT i.inhdetachpending FROM pg_inherits i WHERE i.inhrelid = $1::text::regclass
