ALTER TABLE runtime.search_state DROP COLUMN cluster;
