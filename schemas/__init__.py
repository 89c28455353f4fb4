"""The wire contract: envelope, event types, refusals. Imports nothing of ours."""

if __name__ != "tailrace.schemas":
    raise ImportError("import tailrace.schemas, not schemas")
