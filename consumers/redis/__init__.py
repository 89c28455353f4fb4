"""The Redis side: stamped copies of PostgreSQL's state, written by functions that compare before they write."""
