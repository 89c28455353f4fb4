"""The contract as documents: JSON Schemas, AsyncAPI, the catalogue page, and what may change between two revisions.

Everything is generated from the models in `tailrace.schemas`; nothing here is read when events are.
"""
