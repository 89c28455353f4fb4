"""Compressed batches of the log within bounded memory, which aiokafka unpacks whole.

`pieces` unpacks in steps, `batches` finds the records in them, `fetching` puts both into aiokafka's place.
"""

from tailrace.unpacking.fetching import BrokenBatchError, bare, bound_unpacking

__all__ = ["BrokenBatchError", "bare", "bound_unpacking"]
