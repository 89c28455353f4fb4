"""All SQL text: numbered migrations and named queries."""

if __name__ != "tailrace.sql":
    raise ImportError("import tailrace.sql, not sql")
