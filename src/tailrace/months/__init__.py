"""Monthly partitions of the large tables: made ahead and on demand, removed when they are old."""
