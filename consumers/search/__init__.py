"""The Elasticsearch side of a worker."""
