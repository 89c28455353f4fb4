"""The PostgreSQL projection: batches of events into read models, in one transaction with their progress."""
