"""Mends the live stores from the log: a second set of tables is filled, and what differs is copied."""
