"""Workers that read topics and write stores."""

if __name__ != "tailrace.consumers":
    raise ImportError("import tailrace.consumers, not consumers")
