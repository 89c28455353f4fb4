"""What analysts do: saved queries, charts, exports and the monthly report, all read as `tailrace_analyst`."""
