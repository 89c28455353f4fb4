-- Makes monthly partitions without blocking readers or writers, for the keeper and for workers that meet a month
-- nobody made. A monthly table is partitioned by RANGE over one timestamptz column; months begin at 00:00 UTC.

CREATE FUNCTION runtime.month_partitions(parent regclass)
RETURNS TABLE (partition regclass, from_at timestamptz, to_at timestamptz, detaching boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
-- Bounds are printed in the session's zone and format; both are fixed here so that they are read back as printed.
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
    SELECT c.oid::regclass,
           CASE WHEN bound.range[1] = 'MINVALUE' THEN '-infinity' ELSE trim(bound.range[1], '''') END::timestamptz,
           CASE WHEN bound.range[2] = 'MAXVALUE' THEN 'infinity' ELSE trim(bound.range[2], '''') END::timestamptz,
           i.inhdetachpending
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \((.+)\) TO \((.+)\)') AS bound (range)
    WHERE i.inhparent = parent AND bound.range IS NOT NULL
$$;
COMMENT ON FUNCTION runtime.month_partitions(regclass) IS
    'Range partitions of a table with their bounds; `detaching` ones take no rows any more.';

CREATE FUNCTION runtime.known_months(parent regclass) RETURNS SETOF date
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
    SELECT months.first_day::date
    FROM runtime.month_partitions(parent) p
    CROSS JOIN LATERAL generate_series(date_trunc('month', greatest(p.from_at, '2000-01-01')),
                                       least(p.to_at, '10000-01-01') - interval '1 month',
                                       interval '1 month') AS months (first_day)
    WHERE NOT p.detaching AND months.first_day >= p.from_at
$$;
COMMENT ON FUNCTION runtime.known_months(regclass) IS
    'First days (UTC) of the months from 2000 to 9999 that the partitions of a table hold completely.';

CREATE FUNCTION runtime.ensure_month(parent regclass, month date) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
-- Whoever waits here has others behind it: give up, the caller tries again.
SET lock_timeout = '2s'
AS $$
DECLARE
    first_day constant timestamp := date_trunc('month', month::timestamp);
    lower_bound constant text := to_char(first_day, 'YYYY-MM-DD') || ' 00:00:00+00';
    upper_bound constant text := to_char(first_day + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00';
    table_schema text;
    table_name text;
    default_partition oid;
    partition_name text;
    storage text;
BEGIN
    IF first_day NOT BETWEEN '2000-01-01' AND '9999-12-01' THEN
        RAISE EXCEPTION 'month % is outside of 2000-01 … 9999-12', month USING ERRCODE = 'datetime_field_overflow';
    END IF;

    -- Runs with its owner's rights: it may touch monthly tables of these two schemas and nothing else.
    SELECT n.nspname, c.relname, t.partdefid INTO table_schema, table_name, default_partition
    FROM pg_partitioned_table t
    JOIN pg_class c ON c.oid = t.partrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = t.partattrs[0]
    WHERE t.partrelid = parent AND t.partstrat = 'r' AND t.partnatts = 1 AND a.atttypid = 'timestamptz'::regtype
      AND n.oid IN ('collab'::regnamespace, 'analytics'::regnamespace);
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not partitioned by months', parent USING ERRCODE = 'wrong_object_type';
    END IF;
    IF default_partition <> 0 THEN
        RAISE EXCEPTION '% has a DEFAULT partition: %', parent, default_partition::regclass
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Move its rows into monthly partitions and drop it: with it, every ATTACH scans it under an'
                         ' exclusive lock and DETACH CONCURRENTLY is refused.';
    END IF;

    IF EXISTS (SELECT FROM runtime.known_months(parent) AS known WHERE known = first_day::date) THEN
        RETURN NULL;
    END IF;
    -- One lock for the table, not one for each month: ATTACH locks the table anyway, and two callers that each make
    -- two months in one transaction would otherwise wait for each other.
    PERFORM pg_advisory_xact_lock(hashtextextended('tailrace.partitions.' || parent::oid, 0));
    IF EXISTS (SELECT FROM runtime.known_months(parent) AS known WHERE known = first_day::date) THEN
        RETURN NULL;
    END IF;

    partition_name := table_name || to_char(first_day, '_YYYY_MM');
    IF to_regclass(format('%I.%I', table_schema, partition_name)) IS NOT NULL THEN
        RAISE EXCEPTION '%.% exists but takes no rows of %', table_schema, partition_name, parent
            USING ERRCODE = 'duplicate_table',
                  HINT = 'It was detached, or covers another range. Finish its removal, rename it, or attach it.';
    END IF;

    -- CREATE TABLE … PARTITION OF would lock the table against every reader and writer; ATTACH does not. The new
    -- table is empty, so ATTACH has nothing to scan and needs no CHECK that would spare the scan. Indexes come with
    -- ATTACH. Messages are updated often (reactions, replies, edits): room in the page keeps these updates off the
    -- indexes.
    storage := CASE table_name WHEN 'messages' THEN ' WITH (fillfactor = 75)' ELSE '' END;
    EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)',
                   table_schema, partition_name, table_name) || storage;
    EXECUTE format('ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I FOR VALUES FROM (%4$L) TO (%5$L)',
                   table_schema, table_name, partition_name, lower_bound, upper_bound);
    RETURN format('%s.%s', table_schema, partition_name);
END
$$;
COMMENT ON FUNCTION runtime.ensure_month(regclass, date) IS
    'Makes the partition of a month, if it is missing; returns its name, or null if it was there.';

REVOKE ALL ON FUNCTION runtime.ensure_month(regclass, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runtime.ensure_month(regclass, date) TO tailrace_worker;
