-- Every object of the schemas that end in collab, analytics or runtime, one line each; the ledger of the migrations
-- is left out.
WITH spaces AS (
    SELECT oid, nspname, nspacl FROM pg_namespace WHERE nspname ~ '(^|_)(collab|analytics|runtime)$'
), relations AS (
    SELECT c.*, format('%s.%s', s.nspname, c.relname) AS name
    FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
    WHERE c.relname !~ '^schema_migrations'
), lines AS (
    SELECT format('schema %s', nspname) AS line FROM spaces
    UNION ALL
    SELECT format('schema %s %s', s.nspname, a) FROM spaces s, unnest(s.nspacl) a WHERE s.nspacl IS NOT NULL
    UNION ALL
    SELECT format('relation %s %s %s %s %s', name, relkind, reloptions, relispartition, pg_get_expr(relpartbound, oid))
    FROM relations
    UNION ALL
    SELECT format('grant %s %s', name, a) FROM relations, unnest(relacl) a
    UNION ALL
    SELECT format('column %s.%s %s %s %s %s', r.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                  pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum))
    FROM relations r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT format('index %s %s', r.name, pg_get_indexdef(r.oid)) FROM relations r WHERE relkind IN ('i', 'I')
    UNION ALL
    SELECT format('view %s %s', r.name, regexp_replace(pg_get_viewdef(r.oid), '\s+', ' ', 'g'))
    FROM relations r WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT format('partitioned %s %s', r.name, pg_get_partkeydef(r.oid)) FROM relations r WHERE relkind = 'p'
    UNION ALL
    SELECT format('constraint %s %s %s', r.name, c.conname, pg_get_constraintdef(c.oid))
    FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid
    UNION ALL
    SELECT format('trigger %s %s', r.name, pg_get_triggerdef(t.oid))
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT format('function %s %s %s', pg_get_functiondef(p.oid), p.proacl, obj_description(p.oid, 'pg_proc'))
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    UNION ALL
    SELECT format('type %s.%s %s', s.nspname, t.typname, t.typtype)
    FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
    WHERE t.typtype <> 'c' AND t.typelem = 0
    UNION ALL
    SELECT format('comment %s %s', r.name, obj_description(r.oid, 'pg_class'))
    FROM relations r WHERE obj_description(r.oid, 'pg_class') IS NOT NULL
)
SELECT line FROM lines ORDER BY line COLLATE "C"
