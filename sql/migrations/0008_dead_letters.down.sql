-- Events that wait behind a dead letter would become orphans in time: resolve the letters first.
DROP TABLE runtime.progress_changes;
DELETE FROM runtime.parked_events WHERE behind;
ALTER TABLE runtime.parked_events DROP COLUMN behind, DROP COLUMN headers, DROP COLUMN workspace_id;
ALTER TABLE runtime.dead_letters
    DROP COLUMN append_time, DROP COLUMN subject, DROP COLUMN void_until, DROP COLUMN resolved_by,
    DROP COLUMN resolved_reason, DROP COLUMN history;
DROP INDEX runtime.dead_letters_event, runtime.dead_letters_newest;
