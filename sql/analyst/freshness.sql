-- title: How far the data goes
-- description: Each projection, and what it set aside.
SELECT projection, version, state, data_to, lag_seconds, applied_at, partitions, halted_partitions, open_dead_letters, parked_events
FROM analytics.freshness ORDER BY projection, version
