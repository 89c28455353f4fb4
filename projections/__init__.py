"""Projections as values and pure functions: events and rows in, rows out. No driver, no clock, no asyncio."""

if __name__ != "tailrace.projections":
    raise ImportError("import tailrace.projections, not projections")
