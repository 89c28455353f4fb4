-- Which Elasticsearch cluster the search worker wrote to last. Where that is another one at the next commit (the address
-- was another server's meanwhile, or a backup was restored), everything is filled again from PostgreSQL.
ALTER TABLE runtime.search_state ADD COLUMN cluster text;
