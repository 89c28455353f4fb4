"""A seeded generator of a believable company's traffic."""

from tailrace.workload.generate import generate
from tailrace.workload.lines import event_line, record_line, write_lines
from tailrace.workload.profiles import PROFILES, Profile, named_profile
from tailrace.workload.publish import Published, publish_records
from tailrace.workload.records import Generated, Summary

__all__ = [
    "PROFILES",
    "Generated",
    "Profile",
    "Published",
    "Summary",
    "event_line",
    "generate",
    "named_profile",
    "publish_records",
    "record_line",
    "write_lines",
]
