"""Faust apps that read topics and write topics."""

if __name__ != "tailrace.streams":
    raise ImportError("import tailrace.streams, not streams")
