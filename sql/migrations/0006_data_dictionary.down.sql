DROP VIEW analytics.data_dictionary;
DO $$
DECLARE
    uncomment text;
BEGIN
    FOR uncomment IN
        SELECT format('COMMENT ON %s %s IS NULL', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace = 'analytics'::regnamespace AND (c.relkind = 'v' OR c.oid = 'analytics.events'::regclass)
        UNION ALL
        SELECT format('COMMENT ON COLUMN %s.%I IS NULL', c.oid::regclass, a.attname)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'analytics'::regnamespace AND (c.relkind = 'v' OR c.oid = 'analytics.events'::regclass)
    LOOP
        EXECUTE uncomment;
    END LOOP;
END $$;
COMMENT ON TABLE analytics.daily_active_users IS 'Activity by workspace and UTC day of the event time.';
COMMENT ON TABLE analytics.message_analytics IS 'Messages of types text, file and bot by channel and hour of the event time.';
COMMENT ON TABLE analytics.user_activity IS 'What each user did by workspace and UTC day of the event time.';
